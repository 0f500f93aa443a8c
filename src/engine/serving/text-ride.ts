/** @file Rows of texts that go along with a pass of a training. Each text is told its result when the pass is done. */
import type { BlockRun, Ride } from "../../run/blocks/riders.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type PagedRide, ridePaged } from "../stack/paged-stages.ts";
import type { ReadyRows } from "./ready-rows.ts";
import type { TextInWork } from "./text-in-work.ts";

interface TextRideOptions {
  /** Goes on with rows that have run; takes the logits [n, V] of those that are wanted. */
  readonly follow: (ready: ReadyRows, logits: HostTensor<"float32"> | null) => void;
  readonly fail: (texts: readonly TextInWork[], error: unknown) => void;
}

export class TextRide implements Ride {
  readonly #options: TextRideOptions;
  readonly #rows: { readonly ready: ReadyRows; readonly ride: PagedRide }[] = [];

  constructor(options: TextRideOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Takes rows of some texts along, unless their programs are their own. */
  async add(texts: readonly TextInWork[], prepare: () => Promise<ReadyRows | null>): Promise<void> {
    try {
      const ready = await prepare();
      if (!ready?.stages.blocks.canRide) return;
      this.#rows.push({ ready, ride: await ridePaged(ready.stages, ready.pass, ready.work) });
    } catch (error) {
      this.#options.fail(texts, error);
    }
  }

  block(layer: number): Promise<readonly BlockRun[]> {
    return Promise.all(this.#rows.map(({ ride }) => ride.blocks.block(layer)));
  }

  async land(): Promise<void> {
    for (const { ready, ride } of this.#rows) {
      try {
        this.#options.follow(ready, await ride.land());
      } catch (error) {
        this.#options.fail(ready.texts, error);
      }
    }
  }

  abandon(): void {
    for (const { ride } of this.#rows) ride.abandon();
  }
}

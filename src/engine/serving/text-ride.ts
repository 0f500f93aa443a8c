/** @file Rows of texts that go along with a pass of a training. Each text is told its result when the pass is done. */
import type { BlockRun, Ride } from "../../run/blocks/riders.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type PagedRide, ridePaged } from "../stack/paged-stages.ts";
import type { ReadyRows } from "./ready-rows.ts";
import type { ActiveText } from "./active-text.ts";

interface TextRideOptions {
  /** Goes on with rows that have run; takes the logits [n, V] of those that are wanted. */
  readonly follow: (ready: ReadyRows, logits: HostTensor<"float32"> | null) => void;
  readonly fail: (texts: readonly ActiveText[], error: unknown) => void;
}

interface RidingRows {
  readonly ready: ReadyRows;
  readonly ride: PagedRide;
}

export class TextRide implements Ride {
  readonly #options: TextRideOptions;
  #rows: readonly RidingRows[] = [];

  constructor(options: TextRideOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Takes rows of some texts along, unless their programs are their own. */
  async add(texts: readonly ActiveText[], prepare: () => Promise<ReadyRows | null>): Promise<void> {
    try {
      const ready = await prepare();
      if (!ready?.stages.blocks.canRide) return;
      const ride = await ridePaged(ready.stages, ready.pass, ready.work);
      this.#rows = [...this.#rows, { ready, ride }];
    } catch (error) {
      this.#options.fail(texts, error);
    }
  }

  async block(layer: number): Promise<readonly BlockRun[]> {
    const runs = await Promise.all(this.#rows.map((rows) => this.#blockOf(rows, layer)));
    return runs.flatMap((run) => run ?? []);
  }

  /** Null: these rows cannot go on, which is told to their texts, and the others go on without them. */
  async #blockOf(rows: RidingRows, layer: number): Promise<BlockRun | null> {
    try {
      return await rows.ride.blocks.block(layer);
    } catch (error) {
      this.#rows = this.#rows.filter((each) => each !== rows);
      rows.ride.abandon();
      this.#options.fail(rows.ready.texts, error);
      return null;
    }
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

/** @file Rows of texts that ride in a pass of a training. Each text gets its result when the pass is done. */
import type { BlockRun, Ride } from "../../run/blocks/riders.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type PagedRide, ridePaged } from "../stack/paged-stages.ts";
import type { ReadyRows } from "./ready-rows.ts";
import type { ActiveText } from "./active-text.ts";

interface TextRideOptions {
  /** Continues with rows that have run; takes ownership of the logits [n, V] of the rows that want them. */
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

  /** Adds the rows of some texts, unless their programs cannot be joined with others. */
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

  /** null: these rows have failed and their texts know; the others go on without them. */
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

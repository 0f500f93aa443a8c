/**
 * @file Sizes of the activations kept between the two passes. The last ones are kept as float32, the others in the chosen form.
 */
import { FLOAT_BYTES } from "../../../graph/dtype.ts";
import type { ActivationForm } from "../../activations/keeping.ts";
import type { PlannedBlock, PlannedPool } from "./planned-pool.ts";

/** What one block of the model kept. */
interface Entry {
  readonly numbers: readonly number[];
  blocks: readonly PlannedBlock[];
  bytesPerNumber: number;
}

export class PlannedKept {
  readonly #pool: PlannedPool;
  readonly #form: ActivationForm;
  readonly #entries: Entry[] = [];

  constructor(pool: PlannedPool, form: ActivationForm) {
    this.#pool = pool;
    this.#form = form;
  }

  /** Takes ownership of blocks of the pool. */
  keep(blocks: readonly PlannedBlock[]): void {
    const numbers = blocks.map(({ lentBytes }) => lentBytes / FLOAT_BYTES);
    this.#entries.push({ numbers, blocks, bytesPerNumber: FLOAT_BYTES });
    const leaving = this.#entries.at(-1 - this.#form.numWhole);
    if (leaving) this.#move(leaving, this.#form.bytesPerNumber);
  }

  /** Returns what was kept last, in blocks that the caller releases; begins to bring back the next. */
  bringBack(): readonly PlannedBlock[] {
    const entry = this.#entries.pop()!;
    this.#move(entry, FLOAT_BYTES);
    const next = this.#entries.at(-1);
    if (next && this.#form.numWhole > 0) this.#move(next, FLOAT_BYTES);
    return entry.blocks;
  }

  /** Moves tensors into blocks of another size; both exist for a moment. */
  #move(entry: Entry, bytesPerNumber: number): void {
    if (entry.bytesPerNumber === bytesPerNumber) return;
    const moved = bytesPerNumber === 0 ? [] : entry.numbers.map((n) => this.#pool.lend(n * bytesPerNumber));
    this.#pool.release(...entry.blocks);
    entry.blocks = moved;
    entry.bytesPerNumber = bytesPerNumber;
  }
}

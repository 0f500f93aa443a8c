/** @file Rows of others that go along with a forward pass, block by block, so that the weights are read once for all. */
import type { ProgramSpec } from "../../graph/program.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";

/** One block for some rows: a program, not compiled, and what it reads and writes. */
export interface BlockRun {
  /** Tells the program from all others of the session. */
  readonly key: string;
  readonly spec: ProgramSpec;
  readonly feeds: Tensors;
  readonly into: Tensors;
}

/** Rows of others that go along with a forward pass. */
export interface Ride {
  /** What they run in a block; asked for in the order of the blocks. Who cannot go on stays behind, and is in none from then on. */
  block(layer: number): Promise<readonly BlockRun[]>;
  /** All blocks have run; the riders go on by themselves. */
  land(): Promise<void>;
  /** The pass has failed; the rows are as they were before it. */
  abandon(): void;
}

/** Whoever may have rows to go along. */
export interface Riders {
  /** Begins a ride: nobody else uses the session until it ends; null: there are no riders. */
  board(): Promise<Ride | null>;
}

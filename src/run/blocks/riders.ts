/** @file Rows of others that ride in a forward pass, block by block, so that the weights are read only once. */
import type { ProgramSpec } from "../../graph/program.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";

/** One block for some rows: a program, not compiled, with its inputs and outputs. */
export interface BlockRun {
  /** Identifies the program within the session. */
  readonly key: string;
  readonly spec: ProgramSpec;
  readonly feeds: Tensors;
  readonly into: Tensors;
}

/** Rows of others that ride in a forward pass. */
export interface Ride {
  /** What the rows run in a block; requested in the order of the blocks. Rows that fail are left out from then on. */
  block(layer: number): Promise<readonly BlockRun[]>;
  /** Called after all blocks have run: the riders finish on their own. */
  land(): Promise<void>;
  /** Called when the pass has failed: the rows stay as they were before it. */
  abandon(): void;
}

/** Something that may have rows to ride in a pass. */
export interface Riders {
  /** Begins a ride, until whose end nothing else uses the session; null: there are no riders. */
  board(): Promise<Ride | null>;
}

/**
 * @file The contract between graft and whatever executes its programs.
 *
 * A program's outputs go into memory that the caller owns, so that a steady loop allocates nothing.
 */
import type { ProgramSpec } from "../graph/program.ts";
import type { HostTensor } from "./host-tensor.ts";

/** Tensors by the names of a program's inputs or outputs. */
export type Tensors = Readonly<Record<string, HostTensor>>;

/** A compiled program. */
export interface Program {
  readonly spec: ProgramSpec;
  /**
   * Runs the program on `feeds` and writes every output into the tensors of `into`, which the caller owns and whose
   * shapes must be those of this run. Names that the program does not have are not looked at.
   * @throws RangeError when an input or output is not given.
   */
  run(feeds: Tensors, into: Tensors): Promise<void>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** How to compile. */
export interface CompileOptions {
  /** Inputs that never change: bound once, so that the engine may lay them out as it likes. */
  readonly constants?: Tensors;
}

/** Executes programs. */
export interface Engine {
  readonly name: string;
  readonly threads: number;
  compile(spec: ProgramSpec, options?: CompileOptions): Promise<Program>;
}

/** @file The contract of a fuzzed format: how a case is made from a corpus, and what reads it. */
import type { Random } from "../../src/random.ts";

/** What is read: bytes or text. */
export type FuzzInput = string | Uint8Array;

/** A corpus with its reader, made once. */
interface FuzzTarget {
  /** Makes a damaged file. */
  make(random: Random): FuzzInput;
  /** Reads it as the library does; any error that is no GraftError is a fault. */
  read(input: FuzzInput): unknown;
}

/** One format. Adding one: a file in `formats/` and a line in `formats.ts`. */
export interface FuzzFormat {
  readonly name: string;
  /** Cases of the default tests. */
  readonly numCases: number;
  prepare(): FuzzTarget | Promise<FuzzTarget>;
}

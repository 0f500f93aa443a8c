/** @file An adapter in memory under the name that requests use, and rows of several adapters that run as one. */
import { UsageError } from "../../errors.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { PagedStages } from "../stack/paged-stages.ts";

/** An adapter that can be asked for. */
export interface NamedAdapter {
  readonly name: string;
  readonly path: string;
}

export interface HeldAdapter {
  /** Empty: the caller has it, and it cannot be asked for. */
  readonly name: string;
  readonly adapter: Adapter;
  /** No other has it: what was cached of the same name before it was loaded again is not found. */
  readonly key: string;
}

/** Rows that run as one. */
export interface RowBatch {
  /** Indexes of these rows among those that were asked for. */
  readonly rows: readonly number[];
  /**
   * Makes programs and tensors ready for some of these rows, by what they have: no pass may run. Tells in which order they are
   * to run; it holds until the next call.
   */
  prepare(rows: readonly (HeldAdapter | null)[]): Promise<PreparedRows>;
}

export interface PreparedRows {
  readonly stages: PagedStages;
  /** For each row of the pass, its index among the rows that were asked for; null: any order will do. */
  readonly order: readonly number[] | null;
}

/** Makes the error for a name that another has: of an `adapter` of the server, or of a `task`. */
export function nameTaken(what: "adapter" | "task", name: string): UsageError {
  return new UsageError(
    "usage/adapter",
    `Cannot load ${what} "${name}": the name is taken, expected another`,
    { hint: `Choose another name, or unload "${name}" first.` },
  );
}

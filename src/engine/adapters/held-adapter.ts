/** @file An adapter in memory under the name that requests use, and rows of several adapters that run as one. */
import { UsageError } from "../../errors.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { PagedStages } from "../stack/paged-stages.ts";

/** An adapter that can be requested by name. */
export interface NamedAdapter {
  readonly name: string;
  readonly path: string;
}

export interface HeldAdapter {
  /** Empty: the caller owns the adapter, and it cannot be requested by name. */
  readonly name: string;
  readonly adapter: Adapter;
  /** Unique to each load: what was cached before an adapter of this name was loaded again is not found. */
  readonly key: string;
}

/** Rows that run as one. */
export interface RowBatch {
  /** Indexes of these rows among those that were asked for. */
  readonly rows: readonly number[];
  /**
   * Prepares programs and tensors for some of these rows, by their adapters; no pass may run meanwhile. Returns the order in
   * which to run them, which holds until the next call.
   */
  prepare(rows: readonly (HeldAdapter | null)[]): Promise<PreparedRows>;
}

export interface PreparedRows {
  readonly stages: PagedStages;
  /** For each row of the pass, its index among the rows that were asked for; null: any order will do. */
  readonly order: readonly number[] | null;
}

/** Makes the error for a name that is taken by another `adapter` of the server, or by another `task`. */
export function nameTaken(what: "adapter" | "task", name: string): UsageError {
  return new UsageError(
    "usage/adapter",
    `Cannot load ${what} "${name}": the name is taken, expected another`,
    { hint: `Choose another name, or unload "${name}" first.` },
  );
}

/** @file Contract of a set of adapters for the rows of a pass, of one method or of several with the same form. */
import type { AdapterView } from "../adapter-view.ts";
import type { Adapter } from "../attach.ts";
import type { RowMember } from "./row-forms.ts";

export interface RowSet {
  /** The view of the rows for programs; a new object whenever adding or removing an adapter changes programs. */
  readonly view: AdapterView;
  /** Whether a row may be without an adapter. */
  readonly takesNone: boolean;
  /** Whether several rows are multiplied by one matrix, whose sums may be rounded differently depending on the number of rows. */
  readonly hasCommonMatrix: boolean;
  /** The adapter of each row; null: none, undefined: not arranged yet. */
  readonly rows: readonly (Adapter | null | undefined)[];
  has(adapter: Adapter): boolean;
  /** Adds an adapter that rows can have. @returns false if it cannot share a batch with the others */
  add(member: RowMember): boolean;
  /** Removes an adapter, which no row of a running pass may have. */
  remove(adapter: Adapter): void;
  /** Makes room for `count` rows and one more: a text that runs alone gets the last row, so that it displaces no other. */
  reserve(count: number): void;
  /** Assigns these adapters to rows from `start` on for the next pass; rows of adapters that are not in this set have none here. */
  place(start: number, adapters: readonly (Adapter | null)[]): void;
}

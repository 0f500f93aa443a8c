/**
 * @file Contract of what keeps the adapters that the rows of a pass have. They are of one method, or of several that are
 * alike.
 */
import type { AdapterView } from "../adapter-view.ts";
import type { Adapter } from "../attach.ts";
import type { RowMember } from "./row-forms.ts";

export interface RowSet {
  /** The view that programs have of the rows; a new object when the adapter that came or went last changes programs. */
  readonly view: AdapterView;
  /** Whether a row may be without an adapter. */
  readonly takesNone: boolean;
  /** Whether several rows are multiplied with one matrix of their adapters, whose sums may round by how many rows there are. */
  readonly hasCommonMatrix: boolean;
  /** The adapter of each row; null: none, undefined: not arranged yet. */
  readonly rows: readonly (Adapter | null | undefined)[];
  has(adapter: Adapter): boolean;
  /** Lets rows have an adapter; false: it cannot share a batch with those that may. */
  add(member: RowMember): boolean;
  /** Forgets an adapter, which no row of a pass has any more. */
  remove(adapter: Adapter): void;
  /** Makes room for so many rows and one more: a text that runs alone gets the last row, so that it takes the place of no other. */
  reserve(count: number): void;
  /** Gives the next pass rows from `start` on, with these adapters; those that it does not know have none here. */
  place(start: number, adapters: readonly (Adapter | null)[]): void;
}

/** @file Adapters of one method, or of several that are alike, in the rows of passes: whatever keeps their tensors. */
import type { AdapterView } from "../adapter-view.ts";
import type { Adapter } from "../attach.ts";
import type { RowMember } from "./row-forms.ts";

export interface RowSet {
  /** Programs' view of the rows that were arranged last; another one when what came or went last changes programs. */
  readonly view: AdapterView;
  /** Whether a row may be without an adapter. */
  readonly takesNone: boolean;
  /** What each row has; undefined: nothing that counts. */
  readonly rows: readonly (Adapter | null | undefined)[];
  has(adapter: Adapter): boolean;
  /** Lets rows have an adapter; false: it cannot share a batch with those that may. */
  add(member: RowMember): boolean;
  /** Forgets an adapter, which no row of a pass has any more. */
  remove(adapter: Adapter): void;
  /** Sees to it that there are so many rows, and one more for those that come alone, so that they take nobody's place. */
  reserve(count: number): void;
  /** Gives the next pass rows from `start` on, with these adapters; those that it does not know have none here. */
  place(start: number, adapters: readonly (Adapter | null)[]): void;
}

/** @file Where the first adapter of some rows goes: a stack, or places that rows are picked for, as its method says. */
import type { BaseModel } from "../../models/base/base-model.ts";
import { PickedRows } from "./picked-rows.ts";
import type { RowMember } from "./row-forms.ts";
import type { RowSet } from "./row-set.ts";
import { RowSlots } from "./row-slots.ts";

/** Makes the set of rows that begins with an adapter. */
export function openRowSet(base: BaseModel, first: RowMember): RowSet {
  const { batch } = first;
  return batch.added ? new PickedRows(batch, first) : new RowSlots(base, batch, first);
}

/** @file Opens the row set for the first adapter of some rows: a stack, or places that rows pick, depending on its method. */
import type { BaseModel } from "../../models/base/base-model.ts";
import { PickedRows } from "./picked-rows.ts";
import type { RowMember } from "./row-forms.ts";
import type { RowSet } from "./row-set.ts";
import { RowSlots } from "./row-slots.ts";

/** Makes a row set with its first adapter. */
export function openRowSet(base: BaseModel, first: RowMember): RowSet {
  const { batch } = first;
  return batch.added ? new PickedRows(batch, first) : new RowSlots(base, batch, first);
}

/** @file The rows of a batch, each with an adapter of its own or none, as serving puts them together. */
import assert from "node:assert/strict";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { AdapterView } from "../../src/peft/adapter-view.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { arrangeRows, mixViews } from "../../src/peft/rows/mixed-rows.ts";
import { type RowMember, formRows } from "../../src/peft/rows/row-forms.ts";
import type { RowSet } from "../../src/peft/rows/row-set.ts";
import { openRowSet } from "../../src/peft/rows/open-row-set.ts";
import type { Engine } from "../../src/runtime/engine.ts";

/** What rows need of an adapter that they can have. */
export async function memberOf(engine: Engine, base: BaseModel, adapter: Adapter): Promise<RowMember> {
  const member = await formRows(engine, base, adapter);
  assert.ok(typeof member !== "string", "rows can have it");
  return member;
}

/** Makes the view of rows that have these adapters, null: none; those that are not alike lie in sets beside each other. */
export async function viewOfRows(
  engine: Engine,
  base: BaseModel,
  rows: readonly (Adapter | null)[],
): Promise<AdapterView> {
  const sets: RowSet[] = [];
  for (const adapter of new Set(rows)) {
    if (!adapter) continue;
    const member = await memberOf(engine, base, adapter);
    if (sets.some((set) => set.add(member))) continue;
    sets.push(openRowSet(base, member));
  }
  assert.deepEqual(arrangeRows(sets, rows), [...rows.keys()]);
  const [first, ...others] = sets.map(({ view }) => view);
  const view = others.length === 0 ? first! : mixViews([first!, ...others]);
  // Where text is written these are bound when programs are compiled.
  return { ...view, inputs: (layer) => ({ ...view.inputs(layer), ...view.constants(layer) }) };
}

/** @file Which rows can be written as one batch: those of one adapter always, of several where their method can tell rows apart. */
import { UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { AdapterView } from "../peft/adapter-view.ts";
import type { Adapter } from "../peft/attach.ts";
import { stackAdapters } from "../peft/rows.ts";

/** Rows of one batch. */
export interface RowGroup {
  /** Numbers of its rows. */
  readonly rows: readonly number[];
  /** What its programs read: one adapter, or several side by side; null: nothing. */
  readonly view: AdapterView | null;
  /** Which of them each of its rows has. */
  readonly adapterOf: readonly number[];
}

/** Puts rows into as few batches as their adapters allow. `adapters`: of each row; null: none. */
export function groupRows(base: BaseModel, adapters: readonly (Adapter | null)[]): RowGroup[] {
  const groups: { members: (Adapter | null)[]; view: AdapterView | null }[] = [];
  // Rows without an adapter last: they join those that have one.
  const distinct = [...new Set(adapters)].sort((a, b) => Number(a === null) - Number(b === null));
  for (const adapter of distinct) {
    const joined = groups.some((group) => {
      const view = stackOrNull(base, [...group.members, adapter]);
      if (!view) return false;
      group.members.push(adapter);
      group.view = view;
      return true;
    });
    if (!joined) groups.push({ members: [adapter], view: adapter?.forWriting() ?? null });
  }
  return groups.map(({ members, view }) => {
    const rows = [...adapters.keys()].filter((row) => members.includes(adapters[row] ?? null));
    return { rows, view, adapterOf: rows.map((row) => members.indexOf(adapters[row] ?? null)) };
  });
}

/** Adapters side by side; null when they cannot be. */
function stackOrNull(base: BaseModel, members: readonly (Adapter | null)[]): AdapterView | null {
  try {
    return stackAdapters(base, members, { writing: true });
  } catch (error) {
    if (error instanceof UsageError && error.code === "usage/adapter") return null;
    throw error;
  }
}

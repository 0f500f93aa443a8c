/** @file The labels of data, before any text is read: a head is made for them. */
import { CLASS_FORMS, readClassLabel } from "../examples/class-example.ts";
import { type Columns, renameColumns } from "../rows/columns.ts";
import { isRecord } from "../rows/row-error.ts";
import { type DataContent, rowsOf } from "./data-content.ts";

/** Adds the labels of some content to `labels`; rows without one are left to whoever reads them. @throws as `readContent` */
export async function readLabels(
  content: DataContent,
  columns: Columns,
  labels: Set<string | number>,
): Promise<void> {
  const matches = (row: object): boolean => CLASS_FORMS.some((form) => form.matches(row as never));
  for await (const row of rowsOf(content, { columns }) ?? []) {
    if ("fault" in row) continue;
    const label = labelOf(row.value, columns, matches);
    if (label !== null) labels.add(label);
  }
}

function labelOf(
  value: unknown,
  columns: Columns,
  matches: (row: object) => boolean,
): string | number | null {
  try {
    const row = renameColumns(value, columns, matches);
    return isRecord(row) && matches(row) ? readClassLabel(row) : null;
  } catch {
    return null;
  }
}

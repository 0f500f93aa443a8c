/** @file Reads the labels of data before any text, since a head is made for them. */
import { CLASS_FORMS, readClassLabel } from "../examples/class-example.ts";
import { type Columns, renameColumns } from "../rows/columns.ts";
import { isRecord } from "../rows/row-error.ts";
import { type DataContent, rowsOf } from "./data-content.ts";

/**
 * Adds the labels of some content to `labels`; skips rows without one, which are reported when they are read.
 * @throws as `readContent`
 */
export async function readLabels(
  content: DataContent,
  columns: Columns,
  labels: Set<string | number>,
): Promise<void> {
  const matches = (row: object): boolean => CLASS_FORMS.some((form) => form.matches(row as never));
  for await (const row of rowsOf(content, { columns }) ?? []) {
    if ("fault" in row) continue;
    for (const label of labelsOf(row.value, columns, matches)) labels.add(label);
  }
}

/** The class of a row, or all of its possible classes: names, or the index of each number in its label. */
function labelsOf(
  value: unknown,
  columns: Columns,
  matches: (row: object) => boolean,
): readonly (string | number)[] {
  try {
    const row = renameColumns(value, columns, matches);
    if (!isRecord(row) || !matches(row)) return [];
    const { label } = row;
    if (!Array.isArray(label)) return [readClassLabel(row)].filter((one) => one !== null);
    const given = label as unknown[];
    return given.every((one) => typeof one === "number")
      ? [...given.keys()]
      : given.filter((one) => typeof one === "string");
  } catch {
    return [];
  }
}

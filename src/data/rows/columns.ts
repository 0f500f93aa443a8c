/** @file Maps columns of other names to the keys of rows: `prompt=question,completion=answer`, as a text or an object. */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { isRecord, rowError } from "./row-error.ts";

export const COLUMNS = z
  .union([z.string(), z.record(z.string(), z.string())])
  .optional()
  .describe("Names of columns in the data: prompt=question,completion=answer");

/** Key in a form of rows → column of the file. */
export type Columns = ReadonlyMap<string, string>;

/** Parses the given columns; an empty map if none are given. @throws UsageError "usage/flag" */
export function readColumns(given: string | Readonly<Record<string, string>> | undefined): Columns {
  if (given === undefined) return new Map();
  const pairs =
    typeof given === "string"
      ? given.split(",").map((pair) => {
          const at = pair.indexOf("=");
          return [pair.slice(0, Math.max(0, at)).trim(), pair.slice(at + 1).trim()] as const;
        })
      : Object.entries(given);
  const names = pairs.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined && pairs.every(([name, column]) => name !== "" && column !== ""))
    return new Map(pairs);
  throw new UsageError(
    "usage/flag",
    `Cannot rename columns by ${JSON.stringify(given)}: ${twice === undefined ? "a name is missing" : `"${twice}" is given twice`}, expected NAME=COLUMN,...`,
    {
      hint: "Write the name graft uses, =, and the column of the file: prompt=question,completion=answer.",
    },
  );
}

/** Whether columns are named by their numbers, from 1, as in a table without a header. */
export function areNumbered(columns: Columns): boolean {
  return columns.size > 0 && [...columns.values()].every((column) => /^[1-9]\d*$/.test(column));
}

/**
 * Renames columns. If the new names alone make a row (`isRow`), other columns are left out, so that the row is not taken for
 * one of another form.
 * @throws usage/data for a row without such a column
 */
export function renameColumns(
  row: unknown,
  columns: Columns,
  isRow: (row: Readonly<Record<string, unknown>>) => boolean,
): unknown {
  if (columns.size === 0 || !isRecord(row)) return row;
  const missing = [...columns.values()].filter((column) => !(column in row));
  if (missing.length > 0) {
    const keys = Object.keys(row).map((key) => JSON.stringify(key));
    throw rowError(
      "row",
      `no column ${missing.map((column) => JSON.stringify(column)).join(", ")}`,
      `one of ${keys.join(", ")}`,
      "Use columns that the file has.",
    );
  }
  const named = Object.fromEntries([...columns].map(([name, column]) => [name, row[column]]));
  if (isRow(named)) return named;
  const renamed = new Set(columns.values());
  const others = Object.entries(row).filter(([key]) => !renamed.has(key));
  return { ...Object.fromEntries(others), ...named };
}

/** @file Writes rows in memory as lines of a file, so that they are read like any other. */
import { UsageError } from "../../errors.ts";
import { LongInteger, fromBigint } from "../formats/long-integer.ts";

/**
 * Writes a row as JSON, without a line end. Databases return integers as `bigint`; they are written as JSON numbers.
 * @throws UsageError "usage/data" for a row that JSON cannot represent, such as one that contains itself
 */
export function rowLine(row: unknown, index: number): string {
  try {
    // Most rows have no `bigint`, and a replacer function takes several times as long.
    return JSON.stringify(row) ?? "null";
  } catch {
    return exactLine(row, index);
  }
}

function exactLine(row: unknown, index: number): string {
  const withNumbers = (_key: string, value: unknown): unknown => {
    if (typeof value !== "bigint") return value;
    const whole = fromBigint(value);
    // JSON.stringify does not call `toJSON` on what a replacer returns.
    return whole instanceof LongInteger ? whole.toJSON() : whole;
  };
  try {
    return JSON.stringify(row, withNumbers) ?? "null";
  } catch (cause) {
    const found = cause instanceof Error ? cause.message.split("\n")[0]! : String(cause);
    throw new UsageError(
      "usage/data",
      `Cannot read data row ${index + 1}: it cannot be written as JSON (${found}), expected strings, numbers, lists and objects of them`,
      {
        hint: "Give rows as they would be in a file: plain objects without circular references.",
        cause,
      },
    );
  }
}

/**
 * @file The log as a table for spreadsheets: a row for each event, a column for each number. A number that appears for the first time
 * adds a column, which is empty in earlier rows.
 */
import { type LogEntry, type LogFormat, bytesOfText, wholeLines } from "./log-format.ts";

/** The columns that every event has. */
const FIRST = ["event", "step"];

export const csv: LogFormat = {
  name: "csv",
  summary: "a table",
  file: "log.csv",
  head: () => bytesOfText(`${FIRST.join()}\n`),
  cut(log, isKept) {
    const [head = FIRST.join(), ...rows] = wholeLines(log);
    const kept = rows.filter((row) => {
      const [event = "", step] = row.split(",", FIRST.length);
      return isKept(event, Number(step));
    });
    return bytesOfText([head, ...kept].map((line) => `${line}\n`).join(""));
  },
  open(log) {
    let columns: readonly string[] | null = null;
    return async (entry) => {
      columns ??= columnsOf(await log.read());
      const known = columns;
      const added = Object.keys(entry).filter((key) => !known.includes(key));
      if (added.length > 0) {
        columns = [...known, ...added];
        await log.replace(widened(await log.read(), columns, added.length));
      }
      await log.append(bytesOfText(`${rowOf(entry, columns)}\n`));
    };
  },
};

function columnsOf(log: Uint8Array | null): readonly string[] {
  return (log && wholeLines(log)[0]?.split(",")) ?? FIRST;
}

/** The table with additional empty columns. */
function widened(log: Uint8Array | null, columns: readonly string[], numAdded: number): Uint8Array {
  const rows = log === null ? [] : wholeLines(log).slice(1);
  const lines = [columns.join(), ...rows.map((row) => row + ",".repeat(numAdded))];
  return bytesOfText(lines.map((line) => `${line}\n`).join(""));
}

function rowOf(entry: LogEntry, columns: readonly string[]): string {
  return columns.map((name) => cellOf(entry[name])).join();
}

/** A cell; text becomes one line, quoted if it contains a comma or a quote. */
function cellOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  const text = (typeof value === "string" ? value : JSON.stringify(value)).replaceAll(/[\r\n]+/g, " ");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

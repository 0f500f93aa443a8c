/** @file What a benchmark prints: a table, and one line of JSON with all that is needed to interpret the numbers later. */
import { basename, isAbsolute } from "node:path";
import type { Json, Outcome, Table } from "../bench.ts";
import { describeMachine, ownVersions, readCommit } from "./machine.ts";

/** Formats a table in columns as wide as their widest cell; the first is aligned left, the others right. */
export function formatTable({ head, rows }: Table): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The JSON object of an outcome; `busyShare`: other load of the machine before the run. */
export function reportOf(
  benchmark: string,
  outcome: Outcome,
  date: Date,
  busyShare: number,
): Readonly<Record<string, Json>> {
  return {
    benchmark,
    date: date.toISOString(),
    ...readCommit(),
    machine: { ...describeMachine(), busy_before: busyShare },
    versions: { ...ownVersions(), ...outcome.versions },
    parameters: withoutFolders(outcome.parameters ?? {}),
    results: outcome.results,
  };
}

/** Removes folders from paths: saved results do not tell where files were on somebody's machine. */
function withoutFolders(parameters: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  return Object.fromEntries(
    Object.entries(parameters).map(([key, value]) => [
      key,
      typeof value === "string" && isAbsolute(value) ? basename(value) : value,
    ]),
  );
}

/** @file Places of rows, in the form that messages show. */
import type { RowSource } from "../formats/parsed-row.ts";
import { findFileKind } from "../formats/file-kinds.ts";

/** Names the place of a row: `file:line`, or `file item n` for kinds that do not count lines. */
export function describeSource({ file, line }: RowSource): string {
  const counted = findFileKind(file)?.counts ?? "row";
  return counted === "line" ? `${file}:${line}` : `${file} ${counted} ${line}`;
}

/** Names several places, the file only where it changes: `a.jsonl:3, 7, b.jsonl:1`. */
export function describePlaces(sources: readonly RowSource[]): string {
  return sources
    .map((source, i) => (sources[i - 1]?.file === source.file ? String(source.line) : describeSource(source)))
    .join(", ");
}

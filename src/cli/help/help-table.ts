/** @file Help in two columns, at the width of a terminal. */
import { wrap } from "../terminal/wrap.ts";

/** Maximum left column on a wide terminal; on a narrow one it is a third of the width. */
const MAX_LEFT = 34;

/** A row of a table: what is typed, and what it means. */
export type Row = readonly [left: string, right: string];

/** Sets rows in two columns; a left side too long for its column gets a line of its own. */
export function table(rows: readonly Row[], width: number): string[] {
  const maxLeft = Math.min(MAX_LEFT, Math.floor(width / 3));
  const fitting = rows.map(([left]) => left.length).filter((length) => length <= maxLeft);
  // If none fits, the right side is only slightly indented.
  const column = Math.max(6, ...fitting);
  return rows.flatMap(([left, right]) => {
    const lines = right === "" ? [] : wrap(right, width - column - 4);
    const isAlone = left.length > column || lines.length === 0;
    const indent = " ".repeat(2 + left.length - left.trimStart().length);
    const own = isAlone ? wrap(left.trim(), width - indent.length).map((line) => indent + line) : [];
    const rest = lines.map((line, i) => `  ${(i === 0 && !isAlone ? left : "").padEnd(column)}  ${line}`);
    return [...own, ...rest];
  });
}

/** Breaks a command line before its flags, so that it can still be pasted into a shell. */
export function wrapCommand(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of text.split(/ (?=--)/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + part.length <= width - 4)
      lines[lines.length - 1] += ` ${part}`;
    else lines.push(part);
  }
  return lines.map((line, i) => `${i === 0 ? "  " : "    "}${line}${i < lines.length - 1 ? " \\" : ""}`);
}

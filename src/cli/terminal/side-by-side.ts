/** @file Sets texts in columns side by side, each under its title. */
import type colors from "picocolors";
import { wrap } from "./wrap.ts";

const GAP = "  ";

/** Sets texts in columns of equal width, with a total of `totalWidth` characters. */
export function sideBySide(
  columns: Readonly<Record<string, string>>,
  color: Pick<typeof colors, "underline">,
  totalWidth: number,
): string {
  const titles = Object.keys(columns);
  const width = Math.floor((totalWidth - GAP.length * (titles.length - 1)) / titles.length);
  const wrapped = Object.values(columns).map((text) => wrap(text, width));
  const numLines = Math.max(...wrapped.map((lines) => lines.length));
  const row = (cells: readonly string[]): string =>
    cells
      .map((cell) => cell.padEnd(width))
      .join(GAP)
      .trimEnd();
  const body = Array.from({ length: numLines }, (_, i) => row(wrapped.map((lines) => lines[i] ?? "")));
  return [color.underline(row(titles)), ...body].join("\n");
}

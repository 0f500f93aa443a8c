/** @file The result of an experiment: a table on the terminal, a JSON line, a picture. */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { init } from "echarts/dist/echarts.esm.min.mjs";
import { ownVersions, readCommit } from "../bench/harness/machine.ts";

/** Folder of kept results. */
export const RESULTS = fileURLToPath(new URL("results", import.meta.url));

/** Named columns of numbers, a row for each thing that was measured. */
export interface Result {
  readonly name: string;
  readonly title: string;
  /** What the rows are: names, or numbers of which the picture draws lines. */
  readonly axis: string;
  readonly rows: readonly {
    readonly label: string | number;
    readonly values: Readonly<Record<string, number>>;
  }[];
  /** Columns of the picture; all unless given. */
  readonly drawn?: readonly string[];
}

function columnsOf({ rows }: Result): string[] {
  return [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
}

/** A table in Markdown. */
export function toTable(result: Result): string {
  const columns = columnsOf(result);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line([result.axis, ...columns]),
    line(Array.from({ length: columns.length + 1 }, () => "---")),
    ...result.rows.map(({ label, values }) =>
      line([String(label), ...columns.map((column) => values[column]?.toFixed(3) ?? "")]),
    ),
  ].join("\n");
}

/** A picture: bars, or lines where the rows are numbers. */
export function toSvg(result: Result): string {
  const { rows, title, axis, drawn = columnsOf(result) } = result;
  const isLine = rows.every(({ label }) => typeof label === "number");
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 900, height: 420 });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: title, left: "center" },
    legend: { bottom: 0 },
    grid: { left: 60, right: 30, top: 50, bottom: 80 },
    xAxis: isLine
      ? { type: "value", name: axis, nameLocation: "middle", nameGap: 28, min: "dataMin", max: "dataMax" }
      : { type: "category", data: rows.map(({ label }) => String(label)), axisLabel: { interval: 0 } },
    yAxis: { type: "value", scale: isLine },
    series: drawn.map((name) => ({
      name,
      type: isLine ? "line" : "bar",
      data: rows.map(({ label, values }) => (isLine ? [label, values[name] ?? 0] : (values[name] ?? 0))),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** What a result was made with, and how long that took. */
export interface Run {
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
  readonly seconds: number;
}

/** Tells a result and keeps it in a folder, with what made it. */
export function tell(result: Result, { parameters, seconds }: Run, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const origin = { ...readCommit(), versions: ownVersions(), parameters, seconds: Math.round(seconds) };
  const kept = { ...result, ...origin };
  writeFileSync(`${folder}/${result.name}.svg`, toSvg(result));
  writeFileSync(`${folder}/${result.name}.json`, `${JSON.stringify(kept, null, 2)}\n`);
  console.log(`${result.title}\n\n${toTable(result)}\n`);
  console.log(JSON.stringify(kept));
}

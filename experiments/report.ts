/** @file The result of an experiment: a table on the terminal, a JSON line, a picture. */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ownVersions, readCommit } from "../bench/harness/machine.ts";
import { lineChart } from "../src/train/report/line-chart.ts";
import { PAPER } from "../src/train/report/palette.ts";
import { svgChart } from "../src/train/report/svg-chart.ts";

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
  /** Columns of the picture. */
  readonly drawn: readonly string[];
  /** What the numbers of these columns are. */
  readonly measure: string;
}

const [WIDTH, BAR] = [900, 13];
/** About what a character takes. */
const CHARACTER = 6.8;

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
  return result.rows.every(({ label }) => typeof label === "number") ? toLines(result) : toBars(result);
}

function toLines({ rows, title, axis: across, measure: unit, drawn }: Result): string {
  const lines = drawn.map((name, i) => ({
    name,
    points: rows.map(({ label, values }) => [Number(label), values[name] ?? NaN] as const),
    color: PAPER.series[i % PAPER.series.length]!,
    width: 2.5,
    hasDots: true,
  }));
  return lineChart({ title, unit, across, lines, width: WIDTH, height: 420, palette: PAPER });
}

/** Bars from left to right, with their numbers: names of rows are too long to stand side by side. */
function toBars({ rows, title, measure, drawn }: Result): string {
  const { text: color, axis, grid, series } = PAPER;
  const bar = { type: "bar", silent: true, barWidth: BAR, barGap: "20%" };
  const left = 24 + CHARACTER * Math.max(...rows.map(({ label }) => String(label).length));
  const height = Math.round(126 + rows.length * (drawn.length * 1.2 * BAR + 10));
  const digits = rows.some(({ values }) => drawn.some((name) => values[name]! >= 100)) ? 0 : 2;
  const formatter = ({ value }: { readonly value: number }): string => value.toFixed(digits);
  return svgChart(
    { title, width: WIDTH, height, palette: PAPER },
    {
      legend: { show: drawn.length > 1, bottom: 0, itemGap: 24, textStyle: { color } },
      grid: { left, right: 50, top: 40, bottom: 76 },
      xAxis: {
        type: "value",
        name: measure,
        nameLocation: "middle",
        nameGap: 28,
        nameTextStyle: { color },
        axisLabel: { color },
        splitLine: { lineStyle: { color: grid } },
      },
      yAxis: {
        type: "category",
        inverse: true,
        data: rows.map(({ label }) => String(label)),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: axis } },
        axisLabel: { color, interval: 0 },
      },
      series: drawn.map((name, i) => ({
        ...bar,
        name,
        // What was not measured has no bar.
        data: rows.map(({ values }) => values[name] ?? null),
        itemStyle: { color: series[i % series.length] },
        label: { show: true, position: "right", color, formatter },
      })),
    },
  );
}

/** What a result was made with, and how long that took. */
interface Run {
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

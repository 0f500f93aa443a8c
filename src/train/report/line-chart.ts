/** @file Lines over the steps of a run, or over another number, as an SVG picture. */
import type { Palette } from "./palette.ts";
import { type ChartFrame, svgChart } from "./svg-chart.ts";

/** A number of a run by step. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  readonly color: string;
  readonly width: number;
  /** "solid" unless given; of equal lines those that are drawn first show between the dashes of the others. */
  readonly dash?: "solid" | "dashed" | "dotted" | readonly number[];
  /** A dot at each point, where they are few. */
  readonly hasDots: boolean;
}

/** What a picture shows. */
interface LineChartParts extends ChartFrame {
  readonly unit: string;
  /** What lies along the picture; "step" unless given. */
  readonly across?: string;
  readonly lines: readonly Line[];
}

const STEP = "step";
const [DOT_SIZE, LEGEND_GAP, LEGEND_ROW] = [7, 24, 22];
/** Of an item of the legend: its sign, and about what a character takes. */
const [SIGN_WIDTH, CHARACTER_WIDTH] = [30, 7];
/** More dots would be a band. */
const MOST_DOTS = 60;
/** The library fails on axes of smaller numbers, and a picture is not to cost a run its result. */
const SMALLEST = 1e-15;

/** Points with numbers that an axis can have: what is infinite or none is left out. */
function drawable(points: Line["points"]): [number, number][] {
  return points.flatMap(([step, value]): [number, number][] =>
    Number.isFinite(value) ? [[step, Math.abs(value) < SMALLEST ? 0 : value]] : [],
  );
}

/** Draws lines; returns the text of an SVG file. */
export function lineChart(parts: LineChartParts): string {
  const { title, unit, across = STEP, palette } = parts;
  const lines = parts.lines.filter(({ points }) => points.length > 0);
  const legend = numLegendRows(lines, parts.width) * LEGEND_ROW;
  return svgChart(
    { ...parts, height: parts.height + Math.max(0, legend - LEGEND_ROW) },
    {
      textStyle: { fontFamily: "system-ui, sans-serif" },
      legend: { show: legend > 0, bottom: 0, itemGap: LEGEND_GAP, textStyle: { color: palette.text } },
      grid: { left: 64, right: 24, top: title !== null ? 50 : unit === "" ? 14 : 30, bottom: 46 + legend },
      ...axesOf(across, unit, palette),
      series: lines.map(seriesOf),
    },
  );
}

/** Rows that a legend wraps into; lines of one name are one item, and one item needs no legend. */
function numLegendRows(lines: readonly Line[], width: number): number {
  const names = new Set(lines.map(({ name }) => name));
  if (names.size < 2) return 0;
  let [rows, used] = [1, 0];
  for (const name of names) {
    const item = SIGN_WIDTH + CHARACTER_WIDTH * name.length;
    if (used > 0 && used + item > width) [rows, used] = [rows + 1, 0];
    used += item + LEGEND_GAP;
  }
  return rows;
}

function axesOf(across: string, unit: string, { text: color, axis, grid }: Palette) {
  const style = {
    type: "value",
    axisLine: { show: true, lineStyle: { color: axis } },
    axisTick: { show: true, lineStyle: { color: axis } },
    axisLabel: { color },
    nameTextStyle: { color },
  };
  return {
    xAxis: {
      ...style,
      name: across,
      nameLocation: "middle",
      nameGap: 26,
      // One step alone would lie between halves of steps.
      min: ({ min, max }: { readonly min: number; readonly max: number }) => (min === max ? min - 1 : min),
      max: "dataMax",
      minInterval: across === STEP ? 1 : 0,
      splitLine: { show: false },
    },
    yAxis: {
      ...style,
      name: unit,
      axisLine: { ...style.axisLine, onZero: false },
      scale: true,
      max: unit === "share" ? 1 : null,
      splitNumber: 4,
      splitLine: { lineStyle: { color: grid } },
    },
  };
}

function seriesOf({ name, points, color, width, dash = "solid", hasDots }: Line) {
  return {
    name,
    type: "line",
    data: drawable(points),
    silent: true,
    // As many points as there are pixels.
    sampling: "lttb",
    showSymbol: (hasDots && points.length <= MOST_DOTS) || points.length === 1,
    symbol: "circle",
    symbolSize: DOT_SIZE,
    lineStyle: { color, width, type: dash },
    itemStyle: { color },
  };
}

/** @file Lines over the steps of a run, or over another number, as an SVG chart. */
import type { Palette } from "./palette.ts";
import { type ChartFrame, svgChart } from "./svg-chart.ts";

/** A number of a run by step. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  readonly color: string;
  readonly width: number;
  /** Default "solid"; of lines with equal points, earlier ones show between the dashes of later ones. */
  readonly dash?: "solid" | "dashed" | "dotted" | readonly number[];
  /** Whether to draw a dot at each point, if there are few. */
  readonly hasDots: boolean;
}

/** The content of a chart. */
interface LineChartParts extends ChartFrame {
  readonly unit: string;
  /** Name of the horizontal axis; default "step". */
  readonly across?: string;
  readonly lines: readonly Line[];
}

const STEP = "step";
const [DOT_SIZE, LEGEND_GAP, LEGEND_ROW] = [7, 24, 22];
/** Widths in a legend item: of its symbol, and approximately of a character. */
const [SIGN_WIDTH, CHARACTER_WIDTH] = [30, 7];
/** More dots would merge into a band. */
const MOST_DOTS = 60;
/** The library fails on axes with smaller numbers, and a chart must not make a run fail. */
const SMALLEST = 1e-15;

/** The points that can be drawn, without infinite numbers and NaN. */
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

/** Number of rows of the legend; lines with one name are one item, and one item needs no legend. */
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
      // With a single step, the axis would otherwise show fractions of steps.
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
    // Samples the line to at most one point per pixel.
    sampling: "lttb",
    showSymbol: (hasDots && points.length <= MOST_DOTS) || points.length === 1,
    symbol: "circle",
    symbolSize: DOT_SIZE,
    lineStyle: { color, width, type: dash },
    itemStyle: { color },
  };
}

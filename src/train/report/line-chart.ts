/** @file Lines over the steps of a run, or over another number, as an SVG picture. */
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Palette } from "./palette.ts";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** A number of a run by step. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  readonly color: string;
  readonly width: number;
  /** A dot at each point, where they are few. */
  readonly hasDots: boolean;
}

/** What a picture shows. */
export interface LineChartParts {
  /** Null: none. */
  readonly title: string | null;
  readonly unit: string;
  /** What lies along the picture; "step" unless given. */
  readonly across?: string;
  readonly lines: readonly Line[];
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

const DOT_SIZE = 7;
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
  const { title, unit, across = "step", lines, width, height, palette } = parts;
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  const { text: color, grid, axis, background } = palette;
  const shown = lines.filter(({ points }) => points.length > 0);
  const axisStyle = {
    axisLine: { show: true, lineStyle: { color: axis } },
    axisTick: { show: true, lineStyle: { color: axis } },
    axisLabel: { color },
    nameTextStyle: { color },
  };
  chart.setOption({
    animation: false,
    backgroundColor: background,
    textStyle: { fontFamily: "system-ui, sans-serif" },
    ...(title === null ? {} : { title: { text: title, left: "center", textStyle: { color } } }),
    legend: { show: shown.length > 1, bottom: 0, itemGap: 24, textStyle: { color } },
    grid: {
      left: 64,
      right: 24,
      top: title !== null ? 50 : unit === "" ? 14 : 30,
      bottom: shown.length > 1 ? 66 : 46,
    },
    xAxis: {
      ...axisStyle,
      type: "value",
      name: across,
      nameLocation: "middle",
      nameGap: 26,
      // One step alone would lie between halves of steps.
      min: ({ min, max }: { readonly min: number; readonly max: number }) => (min === max ? min - 1 : min),
      max: "dataMax",
      minInterval: 1,
      splitLine: { show: false },
    },
    yAxis: {
      ...axisStyle,
      type: "value",
      name: unit,
      scale: true,
      splitNumber: 4,
      splitLine: { lineStyle: { color: grid } },
    },
    series: shown.map(({ name, points, color: own, width: lineWidth, hasDots }) => ({
      name,
      type: "line",
      data: drawable(points),
      silent: true,
      // As many points as there are pixels.
      sampling: "lttb",
      showSymbol: (hasDots && points.length <= MOST_DOTS) || points.length === 1,
      symbol: "circle",
      symbolSize: DOT_SIZE,
      lineStyle: { color: own, width: lineWidth },
      itemStyle: { color: own },
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

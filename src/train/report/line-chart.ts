/** @file Lines over the steps of a run, or over another number, as an SVG picture. */
import { type Axis, axisOf } from "./axis.ts";
import { type Html, html as drawn } from "./html.ts";
import {
  type ChartFrame,
  type Plot,
  between,
  drawBottomAxis,
  drawDot,
  drawLeftAxis,
  drawLegend,
  legendHeight,
  legendLines,
  round,
  svgChart,
} from "./svg-chart.ts";

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
export interface LineChartParts extends ChartFrame {
  readonly unit: string;
  /** What lies along the picture; "step" unless given. */
  readonly across?: string;
  readonly lines: readonly Line[];
}

const DOT_SIZE = 7;
/** More dots would be a band. */
const MOST_DOTS = 60;
/** What a number is at most: differences of larger ones are none. */
const LARGEST = 1e300;

type Point = Line["points"][number];

/** Draws lines; returns the text of an SVG file. */
export function lineChart(parts: LineChartParts): string {
  const { title, unit, across = "step", palette, width } = parts;
  const lines = parts.lines
    .map((line) => ({ ...line, points: drawable(line.points) }))
    .filter(({ points }) => points.length > 0);
  const legend = lines.length > 1 ? legendLines(lines, width) : [];
  // A legend of several lines takes nothing from the plot.
  const height = parts.height + Math.max(0, legendHeight(legend.slice(1)));
  const plot: Plot = {
    left: 64,
    right: width - 24,
    top: title !== null ? 50 : unit === "" ? 14 : 30,
    bottom: height - 46 - legendHeight(legend),
  };
  const valuesAt = (i: 0 | 1): number[] => lines.flatMap(({ points }) => points.map((point) => point[i]));
  const x = axisOf(valuesAt(0), { numMarks: 5, leastStep: 1, endsAtMarks: false });
  const y = axisOf(valuesAt(1), { numMarks: 4, endsAtMarks: true });
  return svgChart({ ...parts, height }, [
    ...drawLeftAxis(y, plot, palette, unit),
    ...drawBottomAxis(x, plot, palette, across),
    ...lines.flatMap((line) => drawLine(line, { x, y, plot })),
    ...drawLegend(legend, { ...parts, height }),
  ]);
}

/** Points with numbers that an axis can have: what is infinite or none is left out. */
function drawable(points: Line["points"]): Point[] {
  return points
    .filter(([, value]) => Number.isFinite(value))
    .map(([step, value]) => [step, Math.max(-LARGEST, Math.min(LARGEST, value))]);
}

function drawLine(
  { points, color, width, hasDots }: Line,
  { x, y, plot }: { readonly x: Axis; readonly y: Axis; readonly plot: Plot },
): Html[] {
  const { left, right, top, bottom } = plot;
  const places = thinned(points, right - left).map(
    ([step, value]) => [between(x, step, left, right), between(y, value, bottom, top)] as const,
  );
  const path = places.map(([px, py]) => `${round(px)} ${round(py)}`).join("L");
  const line = drawn`<path d="M${path}" stroke="${color}" stroke-width="${width}" stroke-linejoin="bevel" fill="none"/>`;
  const isDotted = (hasDots && points.length <= MOST_DOTS) || points.length === 1;
  return [line, ...(isDotted ? places.map(([px, py]) => drawDot(px, py, DOT_SIZE, color)) : [])];
}

/** About as many points as there are pixels: of those that share two, the least and the largest, in their order. */
function thinned(points: readonly Point[], numPixels: number): readonly Point[] {
  const perPart = Math.ceil((2 * points.length) / numPixels);
  if (perPart <= 2) return points;
  return Array.from({ length: Math.ceil(points.length / perPart) }, (_, i) => {
    const part = points.slice(i * perPart, (i + 1) * perPart);
    const extreme = (isBetter: (a: number, b: number) => boolean): Point =>
      part.reduce((best, point) => (isBetter(point[1], best[1]) ? point : best));
    return [extreme((a, b) => a < b), extreme((a, b) => a > b)].sort(([a], [b]) => a - b);
  }).flat();
}

/** @file Lines over the steps of a run, or over another number, as an SVG picture. */
import { type Axis, dataAxis, roundedAxis } from "./axis.ts";
import type { Html } from "./html.ts";
import {
  type Area,
  type PictureFrame,
  dot,
  drawPicture,
  heightOf,
  lyingAxis,
  namesBelow,
  pixel,
  placeAcross,
  stroke,
  uprightAxis,
} from "./picture.ts";

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
export interface LineChartParts extends PictureFrame {
  readonly unit: string;
  /** What lies along the picture; "step" unless given. */
  readonly across?: string;
  readonly lines: readonly Line[];
}

type Place = readonly [x: number, y: number];

const DOT_RADIUS = 3.5;
/** More dots would be a band. */
const MOST_DOTS = 60;
/** Numbers that an axis can tell apart: smaller ones are 0, larger ones are left out. */
const [SMALLEST, LARGEST] = [1e-15, 1e300];
/** How many parts of the axes are aimed at. */
const [PARTS_ACROSS, PARTS_UP] = [5, 4];

/** Points with numbers that an axis can have: what is infinite or none is left out. */
function drawable(points: Line["points"]): [number, number][] {
  return points.flatMap(([step, value]): [number, number][] =>
    Math.abs(value) <= LARGEST ? [[step, Math.abs(value) < SMALLEST ? 0 : value]] : [],
  );
}

/** Draws lines; returns the text of an SVG file. */
export function lineChart(parts: LineChartParts): string {
  const { title, unit, across = "step", palette, width, height } = parts;
  const lines = parts.lines
    .filter(({ points }) => points.length > 0)
    .map((line) => ({ ...line, points: drawable(line.points) }));
  const names = namesBelow(lines.length > 1 ? lines : [], parts);
  const area = {
    left: 64,
    right: width - 24,
    top: title !== null ? 50 : unit === "" ? 14 : 30,
    bottom: height - 46 - names.height,
  };
  const points = lines.flatMap((line) => line.points);
  const steps = dataAxis(
    points.map(([step]) => step),
    PARTS_ACROSS,
  );
  const values = roundedAxis(
    points.map(([, value]) => value),
    PARTS_UP,
  );
  return drawPicture(parts, [
    ...uprightAxis(values, unit, area, palette),
    ...lyingAxis(steps, across, area, palette),
    ...lines.flatMap((line) => drawLine(line, steps, values, area)),
    ...names.parts,
  ]);
}

function drawLine({ points, color, width, hasDots }: Line, steps: Axis, values: Axis, area: Area): Html[] {
  const places = points.map(
    ([step, value]) => [placeAcross(step, steps, area), heightOf(value, values, area)] as const,
  );
  const hasAll = (hasDots && points.length <= MOST_DOTS) || points.length === 1;
  return [
    ...(places.length > 1 ? [stroke(pathThrough(places, area.right - area.left), color, width)] : []),
    ...(hasAll ? places.map((place) => dot(place, DOT_RADIUS, color)) : []),
  ];
}

/** A path with at most two points in each column of pixels, the lowest and the highest. */
function pathThrough(places: readonly Place[], numColumns: number): string {
  return extremes(places, numColumns)
    .map(([x, y]) => `${pixel(x)} ${pixel(y)}`)
    .join("L");
}

function extremes(places: readonly Place[], numColumns: number): readonly Place[] {
  const perColumn = places.length / numColumns;
  if (perColumn <= 2) return places;
  return Array.from({ length: numColumns }).flatMap((_, column) => {
    const part = places.slice(Math.floor(column * perColumn), Math.floor((column + 1) * perColumn));
    const ordered = part.toSorted((a, b) => a[1] - b[1]);
    return [ordered[0]!, ordered.at(-1)!].toSorted((a, b) => a[0] - b[0]);
  });
}

/** @file What all pictures of runs have in common, as the text of an SVG file: a title, two axes, names below. */
import { type Axis, tickLabel } from "./axis.ts";
import { Html, html } from "./html.ts";
import type { Palette } from "./palette.ts";

/** The outside of a picture. */
export interface PictureFrame {
  /** Null: none. */
  readonly title: string | null;
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

/** Where in a picture its data lie, in pixels. */
export interface Area {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** What a colour stands for. */
export interface Named {
  readonly name: string;
  readonly color: string;
}

const FONT = "system-ui, sans-serif";
const [FONT_SIZE, TITLE_SIZE, TICK] = [12, 18, 5];
/** A letter's width as a share of its size; those of other scripts are as wide as high. */
const LETTER_WIDTH = 0.54;
const FIRST_WIDE = "\u{1100}";
/** A row of names: its height, a name's mark, and the room between two. */
const [ROW, MARK, MARK_RADIUS, MARK_GAP, NAME_GAP] = [20, 25, 5, 5, 24];

/** Writes a position with as many decimals as can be seen. */
export function pixel(value: number): number {
  return Math.round(10 * value) / 10;
}

/** Writes an element of a picture. */
export function element(
  name: "circle" | "g" | "path" | "rect" | "svg" | "text",
  attributes: Readonly<Record<string, string | number>>,
  content: string | readonly Html[] = "",
): Html {
  const written = Object.entries(attributes).map(([key, value]) => html` ${new Html(key)}="${value}"`);
  const [begin, end] = [new Html(`<${name}`), new Html(`</${name}>\n`)];
  return html`${begin}${written}>${content}${end}`;
}

/** Writes a picture of its parts; returns the text of an SVG file. */
export function drawPicture({ title, width, height, palette }: PictureFrame, parts: readonly Html[]): string {
  const frame = { width, height, viewBox: `0 0 ${width} ${height}`, xmlns: "http://www.w3.org/2000/svg" };
  const bold = { "font-size": TITLE_SIZE, "font-weight": "bold" };
  const heading = title === null ? [] : [label("middle", [width / 2, 29], palette.text, title, bold)];
  const behind = element("rect", { width, height, fill: palette.background });
  return element("svg", { ...frame, "font-family": FONT }, [behind, ...heading, ...parts]).text;
}

/** Writes text; it lies above and below its position evenly. */
export function label(
  anchor: "start" | "middle" | "end",
  [x, y]: readonly [number, number],
  color: string,
  text: string,
  style: Readonly<Record<string, string | number>> = { "font-size": FONT_SIZE },
): Html {
  const place = { x: pixel(x), y: pixel(y), "text-anchor": anchor, "dominant-baseline": "central" };
  return element("text", { ...place, ...style, fill: color }, text);
}

/** Draws straight lines through points; `points`: as an SVG path has them. */
export function stroke(points: string, color: string, width: number): Html {
  const style = { stroke: color, "stroke-width": width, "stroke-linejoin": "bevel" };
  return element("path", { d: `M${points}`, fill: "none", ...style });
}

/** Draws a thin line up or across, which lies on whole pixels. */
export function rule(points: string, color: string): Html {
  return element("path", { d: `M${points}`, fill: "none", stroke: color, "shape-rendering": "crispEdges" });
}

/** Draws a dot. */
export function dot([x, y]: readonly [number, number], r: number, fill: string): Html {
  return element("circle", { cx: pixel(x), cy: pixel(y), r, fill });
}

/** Gives the place of a value of an upright axis. */
export function heightOf(value: number, { min, max }: Axis, { top, bottom }: Area): number {
  return bottom - ((value - min) / (max - min)) * (bottom - top);
}

/** Gives the place of a value along a picture. */
export function placeAcross(value: number, { min, max }: Axis, { left, right }: Area): number {
  return left + ((value - min) / (max - min)) * (right - left);
}

/** Draws the upright axis, a pale line across at each of its numbers, and the unit above. */
export function uprightAxis(axis: Axis, unit: string, area: Area, palette: Palette): Html[] {
  const { left, right, top, bottom } = area;
  const rows = axis.ticks.flatMap((tick) => {
    const y = pixel(heightOf(tick, axis, area));
    return [
      rule(`${left} ${y}H${right}`, palette.grid),
      rule(`${left} ${y}h-${TICK}`, palette.axis),
      label("end", [left - 8, y], palette.text, tickLabel(tick, axis)),
    ];
  });
  const above = unit === "" ? [] : [label("middle", [left, top - 21], palette.text, unit)];
  return [...rows, rule(`${left} ${top}V${bottom}`, palette.axis), ...above];
}

/** Draws the axis along a picture and what its numbers are. */
export function lyingAxis(axis: Axis, name: string, area: Area, palette: Palette): Html[] {
  const { left, right, bottom } = area;
  const marks = axis.ticks.flatMap((tick) => {
    const x = pixel(placeAcross(tick, axis, area));
    return [
      rule(`${x} ${bottom}v${TICK}`, palette.axis),
      label("middle", [x, bottom + 14], palette.text, tickLabel(tick, axis)),
    ];
  });
  const below = label("middle", [(left + right) / 2, bottom + 32], palette.text, name);
  return [rule(`${left} ${bottom}H${right}`, palette.axis), ...marks, below];
}

function widthOf({ name }: Named): number {
  const widths = Array.from(name, (letter) => (letter < FIRST_WIDE ? LETTER_WIDTH : 1));
  return MARK + MARK_GAP + FONT_SIZE * widths.reduce((sum, width) => sum + width, 0);
}

/** Lays names out in as many rows as they need. */
function rowsOf(all: readonly Named[], width: number): Named[][] {
  const rows: Named[][] = [];
  let left = 0;
  for (const each of all) {
    const taken = widthOf(each) + NAME_GAP;
    if (rows.length === 0 || left < taken) {
      rows.push([]);
      left = width;
    }
    rows.at(-1)!.push(each);
    left -= taken;
  }
  return rows;
}

/** Draws what each colour stands for, below, in the middle; `height`: what that takes. */
export function namesBelow(
  all: readonly Named[],
  { width, height, palette }: PictureFrame,
): { readonly height: number; readonly parts: readonly Html[] } {
  const rows = rowsOf(all, width);
  const parts = rows.flatMap((row, index) => {
    const y = height - ROW * (rows.length - index) + ROW / 2;
    let x = (width - row.reduce((sum, each) => sum + widthOf(each), NAME_GAP * (row.length - 1))) / 2;
    return row.flatMap((each) => {
      const start = pixel(x);
      x += widthOf(each) + NAME_GAP;
      return [
        stroke(`${start} ${y}h${MARK}`, each.color, 2),
        dot([start + MARK / 2, y], MARK_RADIUS, each.color),
        label("start", [start + MARK + MARK_GAP, y], palette.text, each.name),
      ];
    });
  });
  return { height: ROW * rows.length, parts };
}

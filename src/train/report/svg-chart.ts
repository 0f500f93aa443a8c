/** @file What all pictures of runs have in common: a frame with title and legend, and a plot with axes, as the text of an SVG file. */
import type { Axis } from "./axis.ts";
import { type Html, html as drawn } from "./html.ts";
import type { Palette } from "./palette.ts";

/** The outside of a picture. */
export interface ChartFrame {
  /** Null: none. */
  readonly title: string | null;
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

/** Where numbers are drawn, in pixels from the upper left corner. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** What a legend says of a colour. */
export interface Legend {
  readonly name: string;
  readonly color: string;
}

const FONT = "system-ui, sans-serif";
/** About what a letter is wide, what a line of a legend is high, what stands before a name, and what lies between two. */
const [LETTER, LEGEND_LINE, LEGEND_MARK, LEGEND_GAP] = [6.6, 20, 30, 24];

/** Draws a picture; returns the text of an SVG file. */
export function svgChart({ title, width, height, palette }: ChartFrame, parts: readonly Html[]): string {
  const { background, text } = palette;
  const heading =
    title === null
      ? []
      : [
          drawn`<text x="${width / 2}" y="24" text-anchor="middle" font-size="18" font-weight="bold" fill="${text}">${title}</text>`,
        ];
  return drawn`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}" font-size="12"><rect width="${width}" height="${height}" fill="${background}"/>${heading}${parts} </svg>`
    .text;
}

/** Lines of a legend as wide as a picture, each of the entries that fit. */
export function legendLines(legend: readonly Legend[], width: number): Legend[][] {
  const lines: Legend[][] = [];
  let used = Infinity;
  for (const entry of legend) {
    const own = LEGEND_GAP + legendWidth(entry);
    if (used + own > width) {
      lines.push([]);
      used = 0;
    }
    lines.at(-1)!.push(entry);
    used += own;
  }
  return lines;
}

/** How high a legend is. */
export function legendHeight(lines: readonly Legend[][]): number {
  return LEGEND_LINE * lines.length;
}

/** Draws a legend at the bottom of a picture. */
export function drawLegend(lines: readonly Legend[][], { width, height, palette }: ChartFrame): Html[] {
  return lines.flatMap((line, row) => {
    const y = height - 9 - LEGEND_LINE * (lines.length - 1 - row);
    let x = (width - line.reduce((sum, each) => sum + legendWidth(each), LEGEND_GAP * (line.length - 1))) / 2;
    return line.map((entry) => {
      const at = x;
      x += legendWidth(entry) + LEGEND_GAP;
      return drawn`<path d="M${round(at)} ${y}h24" stroke="${entry.color}" stroke-width="4" fill="none"/><text x="${round(at + LEGEND_MARK)}" y="${y + 4}" fill="${palette.text}">${entry.name}</text>`;
    });
  });
}

/** Draws the axis at the left of a plot, with a line across at each of its marks. */
export function drawLeftAxis(axis: Axis, plot: Plot, palette: Palette, name = ""): Html[] {
  const { left, right, top, bottom } = plot;
  const { text, axis: color, grid } = palette;
  const marks = axis.marks.map((mark) => {
    const y = round(between(axis, mark, bottom, top));
    return drawn`<path d="M${left} ${y}H${right}" stroke="${grid}" fill="none"/><path d="M${left - 5} ${y}h5" stroke="${color}" fill="none"/><text x="${left - 8}" y="${y + 4}" text-anchor="end" fill="${text}">${axis.label(mark)}</text>`;
  });
  const unit =
    name === ""
      ? []
      : [drawn`<text x="${left}" y="${top - 12}" text-anchor="middle" fill="${text}">${name}</text>`];
  return [...marks, drawn`<path d="M${left} ${top}V${bottom}" stroke="${color}" fill="none"/>`, ...unit];
}

/** Draws the axis below a plot. */
export function drawBottomAxis(axis: Axis, plot: Plot, palette: Palette, name: string): Html[] {
  const { left, right, bottom } = plot;
  const { text, axis: color } = palette;
  const marks = axis.marks.map((mark) => {
    const x = round(between(axis, mark, left, right));
    return drawn`<path d="M${x} ${bottom}v5" stroke="${color}" fill="none"/><text x="${x}" y="${bottom + 18}" text-anchor="middle" fill="${text}">${axis.label(mark)}</text>`;
  });
  return [
    drawn`<path d="M${left} ${bottom}H${right}" stroke="${color}" fill="none"/>`,
    ...marks,
    drawn`<text x="${(left + right) / 2}" y="${bottom + 34}" text-anchor="middle" fill="${text}">${name}</text>`,
  ];
}

/** A dot. */
export function drawDot(x: number, y: number, size: number, color: string): Html {
  return drawn`<circle cx="${round(x)}" cy="${round(y)}" r="${size / 2}" fill="${color}"/>`;
}

/** Where a number of an axis lies between two pixels. */
export function between({ low, high }: Axis, value: number, from: number, to: number): number {
  return from + ((value - low) / (high - low)) * (to - from);
}

/** A place to a tenth of a pixel. */
export function round(place: number): number {
  return Math.round(10 * place) / 10;
}

function legendWidth({ name }: Legend): number {
  return LEGEND_MARK + LETTER * name.length;
}

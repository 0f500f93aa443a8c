/** @file The branches of a DropBP run as an SVG picture: rate, realised rate and sensitivity of each. */
import type { DropState } from "../dropbp/drop-state.ts";
import { axisOf } from "./axis.ts";
import { type Html, html as drawn } from "./html.ts";
import { PAPER, type Palette } from "./palette.ts";
import {
  type Plot,
  between,
  drawDot,
  drawLeftAxis,
  drawLegend,
  legendLines,
  round,
  svgChart,
} from "./svg-chart.ts";

const HEIGHT = 480;
const [MARGINS, WIDTH_OF_BRANCH, LEAST_WIDTH] = [140, 16, 600];
const DOT_SIZE = 6;
const SHARES = axisOf([0, 1], { numMarks: 5, endsAtMarks: true });

/** Draws the picture; returns the text of an SVG file. */
export function dropBpChart(title: string | null, state: DropState, palette: Palette = PAPER): string {
  const { branches, rates, dropped, passes, sensitivities } = state;
  const width = Math.max(LEAST_WIDTH, MARGINS + WIDTH_OF_BRANCH * branches.length);
  const {
    pale,
    series: [first = pale, second = pale],
  } = palette;
  const frame = { title, width, height: HEIGHT, palette };
  const plot: Plot = { left: 60, right: width - 30, top: title === null ? 20 : 50, bottom: HEIGHT - 120 };
  const column = (plot.right - plot.left) / branches.length;
  const dots = (name: string, color: string, shares: readonly number[]) => ({
    name,
    color,
    drawn: shares.map((share, i) =>
      drawDot(plot.left + (i + 0.5) * column, heightOf(share, plot), DOT_SIZE, color),
    ),
  });
  const largest = Math.max(...(sensitivities ?? []), Number.MIN_VALUE);
  const series = [
    {
      name: "rate",
      color: pale,
      drawn: rates.map((rate, i) => drawBar(rate, i, plot, { column, color: pale })),
    },
    dots(
      "realised",
      first,
      dropped.map((count) => (passes === 0 ? 0 : count / passes)),
    ),
    ...(sensitivities === null
      ? []
      : [
          dots(
            "sensitivity / largest",
            second,
            sensitivities.map((each) => each / largest),
          ),
        ]),
  ];
  return svgChart(frame, [
    ...drawLeftAxis(SHARES, plot, palette),
    ...branches.map((branch, i) => drawBranch(branch, plot.left + (i + 0.5) * column, plot, palette)),
    ...series.flatMap(({ drawn }) => drawn),
    ...drawLegend(legendLines(series, width), frame),
  ]);
}

function heightOf(share: number, { top, bottom }: Plot): number {
  return between(SHARES, share, bottom, top);
}

function drawBar(
  share: number,
  index: number,
  plot: Plot,
  { column, color }: { readonly column: number; readonly color: string },
): Html {
  const [x, y] = [plot.left + (index + 0.15) * column, heightOf(share, plot)];
  return drawn`<rect x="${round(x)}" y="${round(y)}" width="${round(0.7 * column)}" height="${round(plot.bottom - y)}" fill="${color}"/>`;
}

/** Its name stands below it, from bottom to top. */
function drawBranch(name: string, x: number, { bottom }: Plot, { text }: Palette): Html {
  return drawn`<text transform="translate(${round(x + 4)} ${bottom + 8}) rotate(-90)" text-anchor="end" fill="${text}">${name}</text>`;
}

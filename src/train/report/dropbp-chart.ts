/** @file The branches of a DropBP run as an SVG picture: rate, realised rate and sensitivity of each. */
import type { DropState } from "../dropbp/drop-state.ts";
import { roundedAxis } from "./axis.ts";
import type { Html } from "./html.ts";
import { PAPER, type Palette } from "./palette.ts";
import {
  type Area,
  dot,
  drawPicture,
  element,
  heightOf,
  label,
  namesBelow,
  pixel,
  rule,
  uprightAxis,
} from "./picture.ts";

const HEIGHT = 480;
const [MARGINS, WIDTH_OF_BRANCH, LEAST_WIDTH] = [140, 16, 600];
/** Share of a branch's width that its bar takes. */
const BAR_WIDTH = 0.6;
const DOT_RADIUS = 3;

/** Draws the picture; returns the text of an SVG file. */
export function dropBpChart(title: string | null, state: DropState, palette: Palette = PAPER): string {
  const { branches, rates, dropped, passes, sensitivities } = state;
  const width = Math.max(LEAST_WIDTH, MARGINS + WIDTH_OF_BRANCH * branches.length);
  const frame = { title, width, height: HEIGHT, palette };
  const [first = palette.pale, second = palette.pale] = palette.series;
  const largest = Math.max(...(sensitivities ?? []), Number.MIN_VALUE);
  const area = { left: 60, right: width - 30, top: title === null ? 20 : 50, bottom: HEIGHT - 120 };
  const axis = roundedAxis([0, 1], 5);
  const each = (area.right - area.left) / branches.length;
  const middle = (i: number): number => area.left + (i + 0.5) * each;
  const dots = (values: readonly number[], color: string): Html[] =>
    values.map((value, i) => dot([middle(i), heightOf(value, axis, area)], DOT_RADIUS, color));
  const names = [
    { name: "rate", color: palette.pale },
    { name: "realised", color: first },
    ...(sensitivities === null ? [] : [{ name: "sensitivity / largest", color: second }]),
  ];
  return drawPicture(frame, [
    ...uprightAxis(axis, "", area, palette),
    rule(`${area.left} ${area.bottom}H${area.right}`, palette.axis),
    ...branches.map((branch, i) => upright(branch, middle(i), area, palette)),
    ...rates.map((rate, i) => bar(middle(i), BAR_WIDTH * each, heightOf(rate, axis, area), area, palette)),
    ...dots(
      dropped.map((count) => (passes === 0 ? 0 : count / passes)),
      first,
    ),
    ...dots(sensitivities?.map((value) => value / largest) ?? [], second),
    ...namesBelow(names, frame).parts,
  ]);
}

/** A branch's name, below the middle of its bar, from below to above. */
function upright(branch: string, x: number, { bottom }: Area, { text }: Palette): Html {
  const turned = `translate(${pixel(x)} ${bottom + 8}) rotate(-90)`;
  return element("g", { transform: turned }, [label("end", [0, 0], text, branch)]);
}

function bar(middle: number, width: number, y: number, { bottom }: Area, { pale }: Palette): Html {
  const size = { width: pixel(width), height: pixel(bottom - y) };
  return element("rect", { x: pixel(middle - width / 2), y: pixel(y), ...size, fill: pale });
}

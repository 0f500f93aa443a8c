/** @file What all pictures of runs have in common: drawn by ECharts, as the text of an SVG file. */
// The whole library in one file: as 585 modules it takes ten times as long to load.
import { init } from "echarts/dist/echarts.esm.min.mjs";
import { Sha256 } from "../../sha256.ts";
import type { Palette } from "./palette.ts";

/** The outside of a picture. */
export interface ChartFrame {
  /** Null: none. */
  readonly title: string | null;
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

const TITLE_SIZE = 16;
/** What the name of an axis takes beside a title, in the middle of the picture and so on both sides. */
const BESIDE_TITLE = 100;

/** A title as it fits: what is too long lacks a part of its middle, since the end of a path is the name of a model. */
function shortened(title: string, width: number): string {
  const most = Math.floor((width - 2 * BESIDE_TITLE) / (0.6 * TITLE_SIZE));
  const signs = Array.from(title);
  if (signs.length <= most) return title;
  const head = Math.floor(most / 3);
  return [...signs.slice(0, head), "…", ...signs.slice(head + 1 - most)].join("");
}

/** Draws a picture; returns the text of an SVG file. */
export function svgChart(
  { title, width, height, palette }: ChartFrame,
  option: Readonly<Record<string, unknown>>,
): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  const textStyle = { color: palette.text, fontSize: TITLE_SIZE };
  chart.setOption({
    animation: false,
    backgroundColor: palette.background,
    ...(title === null ? {} : { title: { text: shortened(title, width), left: "center", textStyle } }),
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return withOwnMarks(svg);
}

/**
 * Names classes and ids by what the picture is: ECharts counts them through the process, so that a run's picture would go by the
 * runs before it. Pictures on one page have none in common.
 */
function withOwnMarks(svg: string): string {
  const numbers = new Map<string, number>();
  const withMarks = (prefix: string): string =>
    svg.replaceAll(/(?<=class="|id="|[#.])zr\d+-[\w-]+/g, (mark) => {
      if (!numbers.has(mark)) numbers.set(mark, numbers.size);
      return `${prefix}-${numbers.get(mark)}`;
    });
  const picture = new Sha256().update(withMarks("mark")).digest().slice(0, 8);
  return withMarks(`m${picture}`);
}

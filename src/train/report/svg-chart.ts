/** @file What all charts of runs share: ECharts draws them as the text of an SVG file. */
// The single-file build: as 585 modules, the library takes ten times as long to load.
import { init } from "echarts/dist/echarts.esm.min.mjs";
import { Sha256 } from "../../sha256.ts";
import type { Palette } from "./palette.ts";

/** The frame of a chart. */
export interface ChartFrame {
  /** Null: none. */
  readonly title: string | null;
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

const TITLE_SIZE = 16;
/** Width reserved for the name of an axis, on both sides of the title since this is centred. */
const BESIDE_TITLE = 100;

/** Shortens a title that is too long in its middle, since the end of a path is the name of a model. */
function shortened(title: string, width: number): string {
  const most = Math.floor((width - 2 * BESIDE_TITLE) / (0.6 * TITLE_SIZE));
  const signs = Array.from(title);
  if (signs.length <= most) return title;
  const head = Math.floor(most / 3);
  return [...signs.slice(0, head), "…", ...signs.slice(head + 1 - most)].join("");
}

/** Draws a chart; returns the text of an SVG file. */
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
 * Renames classes and ids by the content of the chart: ECharts numbers them across the process, so a run's chart would depend on earlier
 * runs. Charts on one page do not share names.
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

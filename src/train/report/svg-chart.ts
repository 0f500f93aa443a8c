/** @file What all pictures of runs have in common: drawn by ECharts, as the text of an SVG file. */
// The whole library in one file: as 585 modules it takes ten times as long to load.
import { init } from "echarts/dist/echarts.esm.min.mjs";
import type { Palette } from "./palette.ts";

/** The outside of a picture. */
export interface ChartFrame {
  /** Null: none. */
  readonly title: string | null;
  readonly width: number;
  readonly height: number;
  readonly palette: Palette;
}

/** Draws a picture; returns the text of an SVG file. */
export function svgChart(
  { title, width, height, palette }: ChartFrame,
  option: Readonly<Record<string, unknown>>,
): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  const textStyle = { color: palette.text };
  chart.setOption({
    animation: false,
    backgroundColor: palette.background,
    ...(title === null ? {} : { title: { text: title, left: "center", textStyle } }),
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

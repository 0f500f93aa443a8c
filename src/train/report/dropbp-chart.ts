/** @file The branches of a DropBP run as an SVG picture: rate, realised rate and sensitivity of each. */
import { BarChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { DropState } from "../dropbp/drop-state.ts";
import { PAPER, type Palette } from "./palette.ts";

use([BarChart, ScatterChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const HEIGHT = 480;
const [MARGINS, WIDTH_OF_BRANCH, LEAST_WIDTH] = [140, 16, 600];

/** Draws the picture; returns the text of an SVG file. */
export function dropBpChart(title: string | null, state: DropState, palette: Palette = PAPER): string {
  const { branches, rates, dropped, passes, sensitivities } = state;
  const width = Math.max(LEAST_WIDTH, MARGINS + WIDTH_OF_BRANCH * branches.length);
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: HEIGHT });
  const realised = dropped.map((count) => (passes === 0 ? 0 : count / passes));
  const { background, text: color, grid, axis, pale, series } = palette;
  const axisStyle = { axisLine: { lineStyle: { color: axis } }, axisTick: { lineStyle: { color: axis } } };
  const largest = Math.max(...(sensitivities ?? []), Number.MIN_VALUE);
  chart.setOption({
    animation: false,
    backgroundColor: background,
    ...(title === null ? {} : { title: { text: title, left: "center", textStyle: { color } } }),
    legend: { bottom: 0, itemGap: 40, textStyle: { color } },
    grid: { left: 60, right: 30, top: title === null ? 20 : 50, bottom: 120 },
    xAxis: { ...axisStyle, type: "category", data: branches, axisLabel: { rotate: 90, interval: 0, color } },
    yAxis: {
      ...axisStyle,
      type: "value",
      min: 0,
      max: 1,
      axisLabel: { color },
      splitLine: { lineStyle: { color: grid } },
    },
    series: [
      { name: "rate", type: "bar", data: rates, itemStyle: { color: pale } },
      { name: "realised", type: "scatter", symbolSize: 6, data: realised, itemStyle: { color: series[0] } },
      ...(sensitivities === null
        ? []
        : [
            {
              name: "sensitivity / largest",
              type: "scatter",
              symbolSize: 6,
              data: sensitivities.map((each) => each / largest),
              itemStyle: { color: series[1] },
            },
          ]),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

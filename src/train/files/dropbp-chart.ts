/** @file The branches of a DropBP run as an SVG picture: rate, realised rate and sensitivity of each. */
import { BarChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { DropState } from "../dropbp/drop-state.ts";

use([BarChart, ScatterChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const HEIGHT = 480;
const [MARGINS, WIDTH_OF_BRANCH, LEAST_WIDTH] = [140, 16, 600];

/** Draws the picture; returns the text of an SVG file. */
export function dropBpChart(title: string, state: DropState): string {
  const { branches, rates, dropped, steps, sensitivities } = state;
  const width = Math.max(LEAST_WIDTH, MARGINS + WIDTH_OF_BRANCH * branches.length);
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: HEIGHT });
  const realised = dropped.map((count) => (steps === 0 ? 0 : count / steps));
  const largest = Math.max(...(sensitivities ?? []), Number.MIN_VALUE);
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: title, left: "center" },
    legend: { bottom: 0, itemGap: 40 },
    grid: { left: 60, right: 30, top: 50, bottom: 120 },
    xAxis: { type: "category", data: branches, axisLabel: { rotate: 90, interval: 0 } },
    yAxis: { type: "value", min: 0, max: 1 },
    series: [
      { name: "rate", type: "bar", data: rates, itemStyle: { color: "#a9c3e8" } },
      { name: "realised", type: "scatter", symbolSize: 6, data: realised, itemStyle: { color: "#2f6fd0" } },
      ...(sensitivities === null
        ? []
        : [
            {
              name: "sensitivity / largest",
              type: "scatter",
              symbolSize: 6,
              data: sensitivities.map((each) => each / largest),
              itemStyle: { color: "#d0562f" },
            },
          ]),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

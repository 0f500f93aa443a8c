/** @file The branches of a DropBP run as an SVG chart: rate, realised rate and sensitivity of each. */
import type { DropState } from "../dropbp/drop-state.ts";
import { PAPER, type Palette } from "./palette.ts";
import { svgChart } from "./svg-chart.ts";

const HEIGHT = 480;
const [MARGINS, WIDTH_OF_BRANCH, LEAST_WIDTH] = [140, 16, 600];

/** Draws the chart; returns the text of an SVG file. */
export function dropBpChart(title: string | null, state: DropState, palette: Palette = PAPER): string {
  const { branches, rates, dropped, passes, sensitivities } = state;
  const width = Math.max(LEAST_WIDTH, MARGINS + WIDTH_OF_BRANCH * branches.length);
  const realised = dropped.map((count) => (passes === 0 ? 0 : count / passes));
  const { text: color, grid, axis, pale, series } = palette;
  const axisStyle = { axisLine: { lineStyle: { color: axis } }, axisTick: { lineStyle: { color: axis } } };
  const largest = Math.max(...(sensitivities ?? []), Number.MIN_VALUE);
  return svgChart(
    { title: title === null ? null : `DropBP, ${title}`, width, height: HEIGHT, palette },
    {
      legend: { bottom: 0, itemGap: 40, textStyle: { color } },
      grid: { left: 60, right: 30, top: title === null ? 30 : 50, bottom: 144 },
      xAxis: {
        ...axisStyle,
        type: "category",
        data: branches,
        axisLabel: { rotate: 90, interval: 0, color },
        name: "branch",
        nameLocation: "middle",
        nameGap: 90,
        nameTextStyle: { color },
      },
      yAxis: {
        ...axisStyle,
        type: "value",
        min: 0,
        max: 1,
        axisLabel: { color },
        name: "share",
        nameTextStyle: { color },
        splitLine: { lineStyle: { color: grid } },
      },
      series: [
        { name: "drop rate", type: "bar", data: rates, itemStyle: { color: pale } },
        {
          name: "dropped, whole run",
          type: "scatter",
          symbolSize: 6,
          data: realised,
          itemStyle: { color: series[0] },
        },
        ...(sensitivities === null
          ? []
          : [
              {
                name: "sensitivity, relative to the largest",
                type: "scatter",
                symbol: "diamond",
                symbolSize: 9,
                data: sensitivities.map((each) => each / largest),
                itemStyle: { color: series[1] },
              },
            ]),
      ],
    },
  );
}

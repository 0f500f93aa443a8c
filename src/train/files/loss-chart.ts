/** @file The loss curve of a run as an SVG picture: training loss, its running mean, held-out loss. */
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { EvalEvent, StepEvent } from "../events.ts";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const WIDTH = 900;
const HEIGHT = 480;
/** Share of the steps over which the running mean runs. */
const WINDOW = 0.05;

/** Draws the curve; returns the text of an SVG file. */
export function lossChart(
  title: string,
  steps: readonly StepEvent[],
  evaluations: readonly EvalEvent[],
): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  const window = Math.max(1, Math.round(steps.length * WINDOW));
  const mean = steps.map(({ step }, i) => {
    const part = steps.slice(Math.max(0, i - window + 1), i + 1);
    return [step, part.reduce((sum, s) => sum + s.loss, 0) / part.length];
  });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: title, left: "center" },
    legend: { bottom: 0, itemGap: 40 },
    grid: { left: 60, right: 30, top: 50, bottom: 70 },
    xAxis: {
      type: "value",
      name: "step",
      nameLocation: "middle",
      nameGap: 28,
      min: "dataMin",
      max: "dataMax",
    },
    yAxis: { type: "value", name: "loss", scale: true },
    series: [
      line(
        "training",
        steps.map((s) => [s.step, s.loss]),
        { color: "#a9c3e8", width: 1 },
        false,
      ),
      line("running mean", mean, { color: "#2f6fd0", width: 2.5 }, false),
      line(
        "held-out",
        evaluations.map((e) => [e.step, e.loss]),
        { color: "#d0562f", width: 2.5 },
        true,
      ),
    ].filter((series) => series.data.length > 0),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function line(
  name: string,
  data: readonly (readonly number[])[],
  lineStyle: { color: string; width: number },
  showSymbol: boolean,
): {
  name: string;
  type: "line";
  data: number[][];
  showSymbol: boolean;
  symbolSize: number;
  lineStyle: object;
  itemStyle: object;
} {
  return {
    name,
    type: "line",
    data: data.map((point) => [...point]),
    showSymbol,
    symbolSize: 8,
    lineStyle,
    itemStyle: { color: lineStyle.color },
  };
}

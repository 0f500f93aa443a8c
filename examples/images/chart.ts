/** Draws the training losses of all methods as an SVG picture. */
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Result } from "./compare.ts";
import { percent } from "./compare.ts";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** Share of the steps over which a mean runs. */
const WINDOW = 0.1;

/** Running means of losses, as [step, mean]. */
function smooth(losses: readonly number[]): number[][] {
  const window = Math.max(1, Math.round(WINDOW * losses.length));
  return losses.map((_, i) => {
    const part = losses.slice(Math.max(0, i + 1 - window), i + 1);
    return [i + 1, part.reduce((sum, loss) => sum + loss, 0) / part.length];
  });
}

/** Draws a line a method; returns the text of an SVG file. */
export function methodsChart(title: string, results: readonly Result[]): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 900, height: 480 });
  const nameOf = ({ method, trainableParameters, accuracy }: Result): string =>
    `${method}, ${trainableParameters.toLocaleString("en")} parameters: ${percent(accuracy)}`;
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    title: { text: title, left: "center", top: 8 },
    legend: { orient: "vertical", right: 24, top: 56, data: results.map(nameOf) },
    grid: { left: 96, right: 24, top: 56, bottom: 56 },
    xAxis: { type: "value", name: "step", nameLocation: "middle", nameGap: 28, max: "dataMax" },
    yAxis: { type: "value", name: "training loss, running mean", min: 0 },
    series: results.map((result) => ({
      name: nameOf(result),
      type: "line",
      showSymbol: false,
      data: smooth(result.losses),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

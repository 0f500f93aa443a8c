/** @file The loss curve of a run: training loss, its running mean, held-out loss. */
import { type LogEntry, entriesOf, lossOf } from "../logs/log-format.ts";
import { type Line, lineChart } from "./line-chart.ts";
import { PAPER, type Palette } from "./palette.ts";

const [WIDTH, HEIGHT] = [900, 480];
/** Length of the running mean's window, as a share of the steps. */
const WINDOW = 0.05;

/** Draws the curve of a log; returns the text of an SVG file. */
export function lossChart(
  title: string | null,
  history: readonly LogEntry[],
  palette: Palette = PAPER,
): string {
  const lines = lossLines(history, palette);
  return lineChart({ title, unit: "loss", lines, width: WIDTH, height: HEIGHT, palette });
}

function lossLines(
  history: readonly LogEntry[],
  { pale, series: [first = pale, second = pale] }: Palette,
): Line[] {
  const [training, heldOut] = [lossesBySteps(history, "step"), lossesBySteps(history, "eval")];
  const window = Math.round(training.length * WINDOW);
  const measured = { name: "held-out", points: heldOut, color: second, width: 2.5, hasDots: true };
  // A running mean over one step would equal the loss.
  if (window < 2)
    return [{ name: "training", points: training, color: first, width: 2.5, hasDots: false }, measured];
  let sum = 0;
  const mean = training.map(([step, loss], i) => {
    sum += loss - (training[i - window]?.[1] ?? 0);
    return [step, sum / Math.min(i + 1, window)] as const;
  });
  return [
    { name: "training", points: training, color: pale, width: 1, hasDots: false },
    { name: "running mean", points: mean, color: first, width: 2.5, hasDots: false },
    measured,
  ];
}

function lossesBySteps(history: readonly LogEntry[], event: "step" | "eval"): Line["points"] {
  return entriesOf(history, event).map((entry) => [Number(entry["step"]), lossOf(entry)]);
}

/** @file The loss curve of a run: training loss, its running mean, held-out loss. */
import type { EvalEvent, StepEvent } from "../events.ts";
import { type Line, lineChart } from "./line-chart.ts";
import { PAPER, type Palette } from "./palette.ts";

const [WIDTH, HEIGHT] = [900, 480];
/** Share of the steps over which the running mean runs. */
const WINDOW = 0.05;

/** What the curve is drawn of. */
export type LossOfStep = Pick<StepEvent, "step" | "loss">;
export type LossOfEval = Pick<EvalEvent, "step" | "loss">;

/** Draws the curve; returns the text of an SVG file. */
export function lossChart(
  title: string | null,
  steps: readonly LossOfStep[],
  evaluations: readonly LossOfEval[],
  palette: Palette = PAPER,
): string {
  const lines = lossLines(steps, evaluations, palette);
  return lineChart({ title, unit: "loss", lines, width: WIDTH, height: HEIGHT, palette });
}

function lossLines(
  steps: readonly LossOfStep[],
  evaluations: readonly LossOfEval[],
  { pale, series: [first = pale, second = pale] }: Palette,
): Line[] {
  const window = Math.max(1, Math.round(steps.length * WINDOW));
  const mean = steps.map(({ step }, i) => {
    const part = steps.slice(Math.max(0, i - window + 1), i + 1);
    return [step, part.reduce((sum, { loss }) => sum + loss, 0) / part.length] as const;
  });
  const points = (events: readonly LossOfStep[]): [number, number][] =>
    events.map(({ step, loss }) => [step, loss]);
  return [
    { name: "training", points: points(steps), color: pale, width: 1, hasDots: false },
    { name: "running mean", points: mean, color: first, width: 2.5, hasDots: false },
    { name: "held-out", points: points(evaluations), color: second, width: 2.5, hasDots: true },
  ];
}

/** @file The key figures at the top of a report. */
import { formatBytes, formatCount, formatDuration, formatFixed, formatLoss } from "../../messages/numbers.ts";
import { type LogEntry, entriesOf, lossOf } from "../logs/log-format.ts";
import type { RunState } from "../loop/run-state.ts";
import { type Html, html } from "./html.ts";
import type { ReportParts } from "./report-parts.ts";

interface Tile {
  readonly label: string;
  readonly value: string;
  readonly note: string;
}

/** Makes the tiles; those without a value are left out. */
export function tilesOf(parts: ReportParts): Html[] {
  return listTiles(parts).map(
    ({ label, value, note }) =>
      html`<div class="card tile">
        <div class="label">${label}</div>
        <div class="value">${value}</div>
        <div class="note">${note}</div>
      </div>`,
  );
}

function listTiles({ state }: ReportParts): Tile[] {
  const steps = entriesOf(state.log_history, "step");
  return [
    ...heldOutTiles(state),
    ...(steps.length > 0 ? [trainingLoss(steps)] : []),
    {
      label: "Steps",
      value: formatCount(state.global_step),
      note: `${formatFixed(state.epoch, 2)} epochs, ${formatCount(state.trained_tokens)} tokens`,
    },
    ...(steps.length > 0 ? [timeInSteps(state), memory(state)] : []),
    ...energyTiles(state),
  ];
}

function heldOutTiles(state: RunState): Tile[] {
  const evaluations = entriesOf(state.log_history, "eval");
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  if (!first || !last) return [];
  const losses = [first, last].map(lossOf);
  const loss = { label: "Held-out loss", value: losses.map(formatLoss).join(" → "), note: bestNote(state) };
  if (!("perplexity" in first)) return [loss];
  const value = losses.map((each) => formatFixed(Math.exp(each), 2)).join(" → ");
  return [loss, { label: "Perplexity", value, note: "on held-out data" }];
}

function trainingLoss(steps: readonly LogEntry[]): Tile {
  const value = [steps[0]!, steps.at(-1)!].map((entry) => formatLoss(lossOf(entry))).join(" → ");
  return { label: "Training loss", value, note: "in the first and the last step" };
}

function timeInSteps({ step_totals: { seconds }, trained_tokens: tokens }: RunState): Tile {
  return {
    label: "Time in steps",
    value: formatDuration(1000 * seconds),
    note: `${formatFixed(tokens / seconds, 1)} tokens/s`,
  };
}

function memory({ step_totals: { peak_mb: peak } }: RunState): Tile {
  return { label: "Memory", value: formatBytes(1e6 * peak), note: "peak of the process" };
}

function energyTiles({ step_totals: { power }, trained_tokens: tokens }: RunState): Tile[] {
  if (power === null) return [];
  const millijoules = formatFixed((1000 * power.joules) / tokens, 2);
  return [
    {
      label: `Energy, ${power.energy}`,
      value: `${formatCount(Math.round(power.joules))} J`,
      note: `${millijoules} mJ per token; paused ${formatDuration(1000 * power.paused_seconds)}`,
    },
  ];
}

function bestNote({ best_metric: best, best_global_step: step, settings }: RunState): string {
  if (best === null || step === null) return "";
  const { evalMetric: metric = "loss" } = settings;
  return `best ${String(metric)} ${formatLoss(best)}, after step ${formatCount(step)}`;
}

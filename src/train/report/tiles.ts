/** @file The few figures of a run with which its report begins. */
import { formatBytes, formatCount, formatDuration, formatFixed, formatLoss } from "../../messages/numbers.ts";
import { type LogEntry, entriesOf, lossOf } from "../logs/log-format.ts";
import type { RunState } from "../loop/run-state.ts";
import { sumPower } from "../power/paced-events.ts";
import { type Html, html } from "./html.ts";
import type { ReportParts } from "./report-parts.ts";

interface Tile {
  readonly label: string;
  readonly value: string;
  readonly note: string;
}

/** Makes the tiles; those that there are no numbers for are left out. */
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
    ...(steps.length > 0 ? [timeInSteps(steps), memory(steps)] : []),
    ...energyTiles(state, steps),
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

function timeInSteps(steps: readonly LogEntry[]): Tile {
  const seconds = sum(steps, (entry) => Number(entry["tokens"]) / Number(entry["tokens_per_second"]));
  return {
    label: "Time in steps",
    value: formatDuration(1000 * seconds),
    note: `${formatFixed(numTokens(steps) / seconds, 1)} tokens/s`,
  };
}

function memory(steps: readonly LogEntry[]): Tile {
  const peak = steps.reduce((most, entry) => Math.max(most, Number(entry["peak_mb"])), 0);
  return { label: "Memory", value: formatBytes(1e6 * peak), note: "peak of the process" };
}

function energyTiles({ log_history: history }: RunState, steps: readonly LogEntry[]): Tile[] {
  const { joules, paused_seconds: paused = 0, energy = "" } = sumPower(history);
  if (joules === undefined) return [];
  const millijoules = formatFixed((1000 * joules) / numTokens(steps), 2);
  return [
    {
      label: `Energy, ${energy}`,
      value: `${formatCount(Math.round(joules))} J`,
      note: `${millijoules} mJ per token; paused ${formatDuration(1000 * paused)}`,
    },
  ];
}

function bestNote({ best_metric: best, best_global_step: step, settings }: RunState): string {
  if (best === null || step === null) return "";
  const { evalMetric: metric = "loss" } = settings;
  return `best ${String(metric)} ${formatLoss(best)}, after step ${formatCount(step)}`;
}

function numTokens(steps: readonly LogEntry[]): number {
  return sum(steps, (entry) => Number(entry["tokens"]));
}

function sum(entries: readonly LogEntry[], value: (entry: LogEntry) => number): number {
  return entries.reduce((total, entry) => total + value(entry), 0);
}

/** @file The few numbers of a run that a report begins with. */
import { formatBytes, formatCount, formatDuration, formatFixed, formatLoss } from "../../messages/numbers.ts";
import { type LogEntry, entriesOf } from "../logs/log-format.ts";
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
  const { log_history: history } = state;
  const [steps, evaluations] = [entriesOf(history, "step"), entriesOf(history, "eval")];
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  const tiles: Tile[] = [];
  if (first && last) {
    const losses = [first, last].map(lossOf);
    tiles.push({
      label: "Held-out loss",
      value: losses.map(formatLoss).join(" → "),
      note: bestNote(state),
    });
    if ("perplexity" in first) {
      tiles.push({
        label: "Perplexity",
        value: losses.map((loss) => formatFixed(Math.exp(loss), 2)).join(" → "),
        note: "on held-out data",
      });
    }
  }
  if (steps.length > 0) {
    tiles.push({
      label: "Training loss",
      value: [steps[0]!, steps.at(-1)!].map((entry) => formatLoss(lossOf(entry))).join(" → "),
      note: "in the first and the last step",
    });
  }
  tiles.push({
    label: "Steps",
    value: formatCount(state.global_step),
    note: `${formatFixed(state.epoch, 2)} epochs, ${formatCount(state.trained_tokens)} tokens`,
  });
  if (steps.length > 0) {
    const seconds = sum(steps, (entry) => Number(entry["tokens"]) / Number(entry["tokens_per_second"]));
    tiles.push(
      {
        label: "Time in steps",
        value: formatDuration(1000 * seconds),
        note: `${formatFixed(sum(steps, (entry) => Number(entry["tokens"])) / seconds, 1)} tokens/s`,
      },
      {
        label: "Memory",
        value: formatBytes(1e6 * Math.max(...steps.map((entry) => Number(entry["peak_mb"])))),
        note: "largest of the process",
      },
    );
  }
  const { joules, paused_seconds: paused = 0, energy = "" } = sumPower(history);
  if (joules !== undefined) {
    const perToken = joules / sum(steps, (entry) => Number(entry["tokens"]));
    tiles.push({
      label: `Energy, ${energy}`,
      value: `${formatCount(Math.round(joules))} J`,
      note: `${formatFixed(1000 * perToken, 2)} mJ per token; paused ${formatDuration(1000 * paused)}`,
    });
  }
  return tiles;
}

function bestNote({ best_metric: best, best_global_step: step, settings }: ReportParts["state"]): string {
  if (best === null || step === null) return "";
  const { evalMetric: metric = "loss" } = settings;
  return `best ${String(metric)} ${formatLoss(best)}, after step ${formatCount(step)}`;
}

/** What is no number is null in a run's state. */
function lossOf({ loss }: LogEntry): number {
  return loss === null ? NaN : Number(loss);
}

function sum(entries: readonly LogEntry[], value: (entry: LogEntry) => number): number {
  return entries.reduce((total, entry) => total + value(entry), 0);
}

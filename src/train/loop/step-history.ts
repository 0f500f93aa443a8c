/**
 * @file What a run remembers of its steps: sums over all, and rows of at most MOST_STEPS. Every checkpoint contains it, so if it grew
 * with the run, the time to write all checkpoints would grow with the square of the run's length.
 */
import { z } from "zod";
import type { LogEntry } from "../logs/log-format.ts";

/** Most rows of steps in a history, beside those of the first and the last step. */
export const MOST_STEPS = 10_000;

export const STEP_TOTALS = z.object({
  /** Time of work, without pauses. */
  seconds: z.number(),
  /** Largest resident memory of any process of the run. */
  peak_mb: z.number(),
  /** Null: no step was paced. */
  power: z
    .object({
      paused_seconds: z.number(),
      joules: z.number(),
      /** "measured" only if all of it was. */
      energy: z.enum(["measured", "estimated"]),
    })
    .nullable(),
});
export type StepTotals = z.output<typeof STEP_TOTALS>;

export const NO_STEPS: StepTotals = { seconds: 0, peak_mb: 0, power: null };

/** Adds up the steps of a history that contains all of them, as older runs stored it. */
export function totalsOf(history: readonly LogEntry[]): StepTotals {
  return history.filter(isStep).reduce(addStep, NO_STEPS);
}

/** Adds a step to the sums. */
export function addStep({ seconds, peak_mb, power }: StepTotals, step: LogEntry): StepTotals {
  const { paused_seconds = 0, joules = 0, energy = "measured" } = power ?? {};
  const isMeasured = energy === "measured" && step["energy"] === "measured";
  return {
    seconds: seconds + (finite(step["tokens"]) / finite(step["tokens_per_second"]) || 0),
    peak_mb: Math.max(peak_mb, finite(step["peak_mb"])),
    power:
      typeof step["joules"] !== "number"
        ? power
        : {
            paused_seconds: paused_seconds + finite(step["pause_ms"]) / 1000,
            joules: joules + finite(step["joules"]),
            energy: isMeasured ? "measured" : "estimated",
          },
  };
}

/**
 * Removes steps from a history that ends with `step`: beyond MOST_STEPS every second stays, beyond twice as many every fourth, and so on.
 * Which ones stay depends only on their numbers, so a resumed run keeps the same. Evaluations and samples stay.
 */
export function thinned(history: readonly LogEntry[], step: number): LogEntry[] {
  const every = everyAt(step);
  return history.filter((entry) => stays(entry, every) || entry["step"] === step);
}

/** Appends a step to a thinned history; returns that array, or a new one if it is thinned further. */
export function withStep(history: LogEntry[], entry: LogEntry & { readonly step: number }): LogEntry[] {
  const every = everyAt(entry.step);
  if (every > everyAt(entry.step - 1)) return thinned([...history, entry], entry.step);
  const last = history.findLastIndex(isStep);
  // The previous last step was only there because it was the last.
  if (last >= 0 && !stays(history[last]!, every)) history.splice(last, 1);
  history.push(entry);
  return history;
}

function stays(entry: LogEntry, every: number): boolean {
  return !isStep(entry) || entry["step"] === 1 || Number(entry["step"]) % every === 0;
}

/** After `step` steps, one of how many stays in the history. */
function everyAt(step: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(step / MOST_STEPS)));
}

function isStep({ event }: LogEntry): boolean {
  return event === "step";
}

/** Replaces numbers that are not finite by 0: JSON lacks them, and a checkpoint with one could not be read again. */
function finite(value: unknown): number {
  return Number.isFinite(value) ? Number(value) : 0;
}

/**
 * @file What a run remembers of its steps: sums over all of them, and rows of at most MOST_STEPS. Every checkpoint holds it, so a run
 * whose history grew with its length would take the square of that to write its checkpoints.
 */
import { z } from "zod";
import type { LogEntry } from "../logs/log-format.ts";

/** Rows of steps in a history, beside those of the first step and the last. */
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
      /** Estimated, unless all of it was measured. */
      energy: z.enum(["measured", "estimated"]),
    })
    .nullable(),
});
export type StepTotals = z.output<typeof STEP_TOTALS>;

export const NO_STEPS: StepTotals = { seconds: 0, peak_mb: 0, power: null };

/** Adds up the steps of a history that has all of them, as a run that is older kept it. */
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
 * Takes steps out of a history that ends with `step`: of more than MOST_STEPS every second stays, of more than twice as many every fourth,
 * and so on. Which ones depends on their numbers alone, so a resumed run has the same. Evaluations and samples stay.
 */
export function thinned(history: readonly LogEntry[], step: number): LogEntry[] {
  const every = everyAt(step);
  return history.filter((entry) => stays(entry, every) || entry["step"] === step);
}

/** Returns a history that `thinned` has made, or that same array, with one more step. */
export function withStep(history: LogEntry[], entry: LogEntry & { readonly step: number }): LogEntry[] {
  const every = everyAt(entry.step);
  if (every > everyAt(entry.step - 1)) return thinned([...history, entry], entry.step);
  const last = history.findLastIndex(isStep);
  // Until now it was there as the last.
  if (last >= 0 && !stays(history[last]!, every)) history.splice(last, 1);
  history.push(entry);
  return history;
}

function stays(entry: LogEntry, every: number): boolean {
  return !isStep(entry) || entry["step"] === 1 || Number(entry["step"]) % every === 0;
}

/** Of how many steps one stays in the history of a run of so many. */
function everyAt(step: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(step / MOST_STEPS)));
}

function isStep({ event }: LogEntry): boolean {
  return event === "step";
}

/** JSON has no infinite numbers, and a checkpoint with one could not be read again. */
function finite(value: unknown): number {
  return Number.isFinite(value) ? Number(value) : 0;
}

/** @file What events tell of the power of a device: of a step, and of a run. */
import type { DoneEvent, PowerNumbers } from "../events.ts";
import type { LogEntry } from "../logs/log-format.ts";
import type { PacedStep } from "./pacer.ts";

/** The numbers of a step. */
export function powerNumbers(step: PacedStep, numTokens: number): PowerNumbers {
  const { busyMs, pauseMs, battery, temperature, energy } = step;
  return {
    pause_ms: pauseMs,
    tokens_per_second_with_pauses: numTokens / ((busyMs + pauseMs) / 1000),
    ...(battery === null ? {} : { battery }),
    ...(temperature === null ? {} : { temperature }),
    joules: energy.joules,
    energy: energy.source,
  };
}

/** Adds up the steps of a run; nothing where it was not paced. */
export function sumPower(
  history: readonly LogEntry[],
): Pick<DoneEvent, "paused_seconds" | "joules" | "energy"> {
  const paced = history.filter((entry) => typeof entry["joules"] === "number") as readonly PowerNumbers[];
  if (paced.length === 0) return {};
  const sum = (of: (step: PowerNumbers) => number | undefined): number =>
    paced.reduce((total, step) => total + (of(step) ?? 0), 0);
  return {
    paused_seconds: sum((step) => step.pause_ms) / 1000,
    joules: sum((step) => step.joules),
    energy: paced.every((step) => step.energy === "measured") ? "measured" : "estimated",
  };
}

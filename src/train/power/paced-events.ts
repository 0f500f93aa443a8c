/** @file What the event of a step tells of the power of a device. */
import type { PowerNumbers } from "../events.ts";
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

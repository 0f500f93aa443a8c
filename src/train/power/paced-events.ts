/** @file The fields of a step event about the power of the device. */
import type { PowerNumbers } from "../events.ts";
import type { PacedStep } from "./pacer.ts";

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

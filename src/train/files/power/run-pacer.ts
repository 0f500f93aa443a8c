/** @file Makes the pacer of a run from its settings, with the clock of this machine. */
import { setTimeout as wait } from "node:timers/promises";
import type { TrainOptions } from "../../settings/options.ts";
import { Pacer, type PacerClock } from "../../power/pacer.ts";
import { readPauseSchedule } from "../../power/pause-schedule.ts";
import { processorMs } from "../../power/processor-ms.ts";
import { openPowerSource } from "./power-sources.ts";

/** Makes the pacer of a run; null: the settings ask for no pauses. */
export function openPacer(
  options: TrainOptions,
  signal: AbortSignal | undefined,
  tell: (note: string) => void,
): Pacer | null {
  const { power, powerSchedule, powerEvery, powerMissing } = options;
  if (power === undefined && powerSchedule === undefined) return null;
  const [batteryHigh = 0, batteryLow = 0] = options.powerBatteryRates;
  const [temperatureHigh = 0, temperatureLow = 0] = options.powerTemperatureRates;
  return new Pacer({
    source: power === undefined ? null : openPowerSource(power),
    policy: {
      batteryThreshold: options.powerBattery,
      temperatureThreshold: options.powerTemperature,
      battery: { high: batteryHigh, low: batteryLow },
      temperature: { high: temperatureHigh, low: temperatureLow },
    },
    schedule: powerSchedule === undefined ? [] : (readPauseSchedule(powerSchedule) ?? []),
    everySteps: powerEvery,
    missing: powerMissing,
    clock: clockOf(signal),
    signal,
    tell,
  });
}

function clockOf(signal: AbortSignal | undefined): PacerClock {
  return {
    nowMs: () => performance.now(),
    processorMs,
    // A pause ends early if the run is asked to stop.
    sleep: (ms) => wait(ms, undefined, signal ? { signal } : {}).catch(() => {}),
  };
}

/** @file The settings of energy-aware training. */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { COMMAND_OR_PATH } from "../../messages/paths.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import { readPauseSchedule } from "./pause-schedule.ts";

const RATES = z.array(z.number().min(0)).refine((rates) => rates.length === 2 && isFalling(rates), {
  message: "expected two rates, the higher one first",
});

/** Whether the first rate is at least the second; 0 means no limit. */
function isFalling([high = 0, low = 0]: readonly number[]): boolean {
  return high === 0 || (low > 0 && low <= high);
}

export const POWER_OPTIONS = {
  power: COMMAND_OR_PATH.min(1)
    .optional()
    .describe(
      "Pause according to battery and temperature, as read from: auto (Linux sensors), a JSON file, or a command that prints JSON (docs/power.md)",
    ),
  powerBattery: z
    .number()
    .min(0)
    .max(100)
    .default(20)
    .describe("Battery charge in percent below which training slows down"),
  powerTemperature: z.number().default(42).describe("Temperature in °C above which training slows down"),
  powerBatteryRates: RATES.default([2, 0.5]).describe(
    "Steps per second with a charged and with a low battery; 0: no limit",
  ),
  powerTemperatureRates: RATES.default([2, 0.5]).describe(
    "Steps per second when cool and when hot; 0: no limit",
  ),
  powerEvery: z.int().positive().default(1).describe("Steps between readings of battery and temperature"),
  powerSchedule: z
    .string()
    .refine((text) => readPauseSchedule(text) !== null, {
      message: "expected ranges of steps and milliseconds, such as 0-99:300,100-:100",
    })
    .optional()
    .describe(
      "Fixed pauses, which take precedence: 0-99:300,100-:100 is 300 ms in the first 100 steps, then 100 ms",
    ),
  powerMissing: z
    .enum(["run", "stop"])
    .default("run")
    .describe("If battery and temperature cannot be read: run at full speed, or stop with a checkpoint"),
};

/** Settings that only apply to a power source. */
const OF_SOURCE = [
  "powerBattery",
  "powerTemperature",
  "powerBatteryRates",
  "powerTemperatureRates",
  "powerEvery",
  "powerMissing",
] as const;

/** Refuses settings of a power source if there is none. @throws UsageError "usage/flag" */
export function requireSource(
  options: { readonly power?: string | undefined } & { readonly [K in (typeof OF_SOURCE)[number]]: unknown },
): void {
  if (options.power !== undefined) return;
  for (const name of OF_SOURCE) {
    const [found, usual] = [options[name], POWER_OPTIONS[name].parse(undefined)].map(String);
    if (found === usual) continue;
    throw new UsageError("usage/flag", `Cannot use --${kebabCase(name)} ${found}: no --power is given`, {
      hint: "Give --power, the source of battery and temperature.",
    });
  }
}

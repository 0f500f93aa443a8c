/**
 * @file How fast a device may train: f = min(f_battery, f_temperature) steps a second, each high while the device is well and
 * low otherwise; a value at its threshold is well. A step has the period 1/f, of which what it does not work is a pause.
 *
 * After the energy-aware scheduler of MobileFineTuner (arXiv:2512.08211), which pauses for the whole period instead.
 */

/** What a device says of itself; null: it does not say. */
export interface DeviceState {
  /** Per cent. */
  readonly battery: number | null;
  /** Degrees Celsius. */
  readonly temperature: number | null;
}

/** Steps a second; 0: as many as there can be. */
interface StepRates {
  readonly high: number;
  readonly low: number;
}

export interface PowerPolicy {
  /** Per cent below which the battery is low. */
  readonly batteryThreshold: number;
  /** Degrees Celsius above which the device is hot. */
  readonly temperatureThreshold: number;
  readonly battery: StepRates;
  readonly temperature: StepRates;
}

/** No period is longer: a device that is never well still trains. */
const LONGEST_PERIOD_MS = 5000;

/** Steps a second that a state allows; Infinity: no limit. */
export function stepsPerSecond({ battery, temperature }: DeviceState, policy: PowerPolicy): number {
  const isLow = battery !== null && battery < policy.batteryThreshold;
  const isHot = temperature !== null && temperature > policy.temperatureThreshold;
  return Math.min(rateOf(policy.battery, isLow), rateOf(policy.temperature, isHot));
}

function rateOf({ high, low }: StepRates, isUnwell: boolean): number {
  return (isUnwell ? low : high) || Infinity;
}

/** Milliseconds that a step takes at a rate, its pauses included. */
export function periodMs(stepsPerSecond: number): number {
  return Math.min(1000 / stepsPerSecond, LONGEST_PERIOD_MS);
}

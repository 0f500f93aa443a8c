/**
 * @file How fast a device may train: f = min(f_battery, f_temperature) steps per second. Each f is high while the battery is charged or
 * the device cool, thresholds included, and low otherwise. A step has the period 1/f; after its work, the rest of it is a pause.
 *
 * After the energy-aware scheduler of MobileFineTuner (arXiv:2512.08211), which pauses for the whole period instead.
 */

/** The state that a device reports; null: not reported. */
export interface DeviceState {
  /** Per cent. */
  readonly battery: number | null;
  /** Degrees Celsius. */
  readonly temperature: number | null;
}

/** Steps per second; 0: no limit. */
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

/** The longest period: a device that is always hot or low still trains. */
const LONGEST_PERIOD_MS = 5000;

/** Steps per second that a state allows; Infinity: no limit. */
export function stepsPerSecond({ battery, temperature }: DeviceState, policy: PowerPolicy): number {
  const isLow = battery !== null && battery < policy.batteryThreshold;
  const isHot = temperature !== null && temperature > policy.temperatureThreshold;
  return Math.min(rateOf(policy.battery, isLow), rateOf(policy.temperature, isHot));
}

function rateOf({ high, low }: StepRates, isUnwell: boolean): number {
  return (isUnwell ? low : high) || Infinity;
}

/** Milliseconds of a step at a rate, pauses included. */
export function periodMs(stepsPerSecond: number): number {
  return Math.min(1000 / stepsPerSecond, LONGEST_PERIOD_MS);
}

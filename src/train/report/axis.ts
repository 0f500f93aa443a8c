/** @file Where the marks of an axis lie, and what stands at them. */
import { formatCount } from "../../messages/numbers.ts";

/** Numbers from `low` to `high`, with marks at round ones. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly marks: readonly number[];
  /** A mark as text. */
  readonly label: (mark: number) => string;
}

/** What an axis may be. */
export interface AxisRules {
  /** About how many marks. */
  readonly numMarks: number;
  /** The least distance of two marks. */
  readonly leastStep?: number;
  /** Whether it begins and ends at marks, or where its numbers do. */
  readonly endsAtMarks: boolean;
}

/** Numbers of less than this share of their size apart are one: floats hardly tell them apart. */
const LEAST_SHARE = 1e-9;
/** Labels of more places are powers of ten. */
const MOST_PLACES = 6;

/** Makes an axis for finite numbers. */
export function axisOf(values: readonly number[], { numMarks, leastStep = 0, endsAtMarks }: AxisRules): Axis {
  let [low, high] = values.reduce(([least, most], v) => [Math.min(least, v), Math.max(most, v)], [
    Infinity,
    -Infinity,
  ] as const);
  if (!(low <= high)) [low, high] = [0, 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low <= LEAST_SHARE * size) {
    // One step alone would lie between halves of steps; a level line lies in the middle.
    const margin = leastStep > 0 ? leastStep : size / 2 || 1;
    [low, high] = endsAtMarks ? [low - margin, high + margin] : [low - margin, high];
  }
  const step = Math.max(leastStep, roundStep((high - low) / numMarks));
  if (endsAtMarks) [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  const first = Math.ceil(low / step);
  // Half of a hundredth: what rounding takes from the last one.
  const numSteps = Math.floor(high / step - first + 0.005);
  // Adding nothing takes the sign off a zero.
  const marks = Array.from({ length: numSteps + 1 }, (_, i) => (first + i) * step + 0);
  return { low, high, marks, label: labelOf(step, size) };
}

/** The nearest 1, 2 or 5 times a power of ten. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const share = step / power;
  return (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10) * power;
}

function labelOf(step: number, size: number): Axis["label"] {
  const numPlaces = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  if (numPlaces > MOST_PLACES || size >= 10 ** MOST_PLACES) {
    const numDigits = Math.max(0, Math.ceil(Math.log10(size / step)));
    return (mark) => String(Number(mark.toExponential(Math.min(numDigits, 15))));
  }
  return (mark) =>
    numPlaces === 0 ? formatCount(Math.round(mark)) : String(Number(mark.toFixed(numPlaces)));
}

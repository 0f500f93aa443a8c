/** @file The numbers along an axis of a picture: few, round, as people write them. */

/** Where an axis begins and ends, and the numbers that stand at it. */
export interface Axis {
  readonly min: number;
  readonly max: number;
  readonly ticks: readonly number[];
  /** Decimals that tell the numbers apart. */
  readonly numDecimals: number;
}

/** What is nearer together, as a share of the numbers themselves, is one number: float64 has no ticks between. */
const LEAST_SPREAD = 1e-12;
/** Most decimals that are written; smaller numbers have an exponent. */
const MOST_DECIMALS = 6;
/** What is nearer to an end, as a share of the distance of two ticks, would be written over it. */
const NEAR = 0.4;

/** Round digits, and what is rounded to each. */
const ROUND = [
  { digit: 1, below: 1.5 },
  { digit: 2, below: 2.5 },
  { digit: 3, below: 4 },
  { digit: 5, below: 7 },
] as const;

/** Rounds a distance to a round digit, or to the next power of ten. */
function roundStep(distance: number): number {
  const power = 10 ** Math.floor(Math.log10(distance));
  return power * (ROUND.find(({ below }) => distance < below * power)?.digit ?? 10);
}

/** The least and the largest; a run may have more steps than a call may have arguments. */
function endsOf(values: readonly number[]): [least: number, largest: number] {
  if (values.length === 0) return [0, 1];
  return values.reduce<[number, number]>(
    ([least, largest], value) => [Math.min(least, value), Math.max(largest, value)],
    [values[0]!, values[0]!],
  );
}

function decimalsOf(step: number): number {
  return Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
}

/** Whole steps from `first` times the distance to `last` times; without the crumbs of sums. */
function multiples(first: number, last: number, step: number): number[] {
  const numDecimals = Math.min(100, decimalsOf(step));
  return Array.from({ length: last - first + 1 }, (_, i) =>
    Number(((first + i) * step).toFixed(numDecimals)),
  );
}

/** Makes an axis whose ends are round numbers; numbers that are all the same lie in its middle. */
export function roundedAxis(values: readonly number[], numParts: number): Axis {
  let [min, max] = endsOf(values);
  const size = Math.max(Math.abs(min), Math.abs(max));
  if (max - min <= LEAST_SPREAD * size) [min, max] = size === 0 ? [0, 1] : [min - size / 2, max + size / 2];
  const step = roundStep((max - min) / numParts);
  const ticks = multiples(Math.floor(min / step), Math.ceil(max / step), step);
  return { min: ticks[0]!, max: ticks.at(-1)!, ticks, numDecimals: decimalsOf(step) };
}

/** Makes an axis that begins and ends with the data, of whole numbers. */
export function dataAxis(values: readonly number[], numParts: number): Axis {
  const [least, max] = endsOf(values);
  // One step alone would lie between halves of steps.
  const min = least === max ? max - 1 : least;
  const step = Math.max(1, roundStep((max - min) / numParts));
  const inner = multiples(Math.ceil(min / step), Math.floor(max / step), step).filter(
    (tick) => Math.min(tick - min, max - tick) > NEAR * step,
  );
  return { min, max, ticks: [min, ...inner, max], numDecimals: 0 };
}

/** Writes the number at a tick: digits in groups of three, very small ones with an exponent. */
export function tickLabel(tick: number, { numDecimals }: Axis): string {
  if (numDecimals > MOST_DECIMALS || Math.abs(tick) >= 1e15) return String(tick);
  const [whole = "", ...decimals] = tick.toFixed(numDecimals).split(".");
  return [whole.replaceAll(/\B(?=(\d{3})+$)/g, ","), ...decimals].join(".");
}

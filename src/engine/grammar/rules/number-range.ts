/**
 * @file Numbers between two bounds as rules.
 *
 * A fraction has at most 6 digits after the point, and its last digit is not zero. So numbers are counted in steps of a
 * millionth, and the steps between the bounds are split at the whole numbers.
 */
import type { Place, Way } from "./automaton.ts";
import { addBytes } from "./characters.ts";
import { type JsonRules, MAX_DIGITS, either } from "./json-rules.ts";

/** The bounds of numbers: at least `low`, greater than `above`, at most `high` and less than `below`. */
export interface Bounds {
  readonly low: number;
  readonly above: number;
  readonly high: number;
  readonly below: number;
}

export const NO_BOUNDS: Bounds = { low: -Infinity, above: -Infinity, high: Infinity, below: Infinity };

/** The intersection of two bounds. */
export function meetBounds(a: Bounds, b: Bounds): Bounds {
  return {
    low: Math.max(a.low, b.low),
    above: Math.max(a.above, b.above),
    high: Math.min(a.high, b.high),
    below: Math.min(a.below, b.below),
  };
}

/** Whether a number lies between bounds. */
export function isWithin(value: number, bounds: Bounds): boolean {
  return isHighEnough(value, bounds) && isLowEnough(value, bounds);
}

/** Whether no number lies between bounds. */
export function hasNone(bounds: Bounds): boolean {
  const least = Math.max(bounds.low, bounds.above);
  const most = Math.min(bounds.high, bounds.below);
  return least > most || (least === most && !isWithin(least, bounds));
}

function isHighEnough(value: number, { low, above }: Bounds): boolean {
  return value >= low && value > above;
}

function isLowEnough(value: number, { high, below }: Bounds): boolean {
  return value <= high && value < below;
}

const [ZERO, NINE] = [0x30, 0x39];
const LARGEST = 10 ** MAX_DIGITS - 1;
/** Most digits after the point of numbers between bounds. */
export const FRACTION_DIGITS = 6;
const STEPS = 10 ** FRACTION_DIGITS;

/** The types of numbers in JSON schemas: "integer" is whole, "number" is any. */
export type NumberType = "integer" | "number";

/** The first and the last whole number between bounds. */
function wholesWithin(bounds: Bounds): [number, number] {
  return [
    Math.max(Math.ceil(bounds.low), Math.floor(bounds.above) + 1),
    Math.min(Math.floor(bounds.high), Math.ceil(bounds.below) - 1),
  ];
}

/** Whether there are numbers between bounds, but all of them have more digits than may be written. */
export function areAllTooLong(bounds: Bounds, type: NumberType): boolean {
  if (hasNone(bounds)) return false;
  const [low, high] = wholesWithin(bounds);
  if (low <= high && low <= LARGEST && high >= -LARGEST) return false;
  if (type === "integer") return low <= high;
  const [first, last] = stepsWithin(bounds, STEPS);
  return first > last;
}

/** Adds a number between bounds. */
export function addNumber(rules: JsonRules, from: Place, bounds: Bounds, type: NumberType): Place {
  const { book } = rules;
  const [lowest, highest] = wholesWithin(bounds);
  const [low, high] = [Math.max(lowest, -LARGEST), Math.min(highest, LARGEST)];
  const { low: least, above, high: most, below } = bounds;
  const rule = book.rule(`number ${[least, above, most, below, type].join(" ")}`, (start) =>
    either(book, start, [
      (at) => addWhole(rules, at, Math.max(low, 0), high),
      (at) => addWhole(rules, book.text(at, "-"), Math.max(-high, 1), -low),
      ...(type === "integer" ? [] : withFraction(rules, bounds)),
    ]),
  );
  return book.call(from, rule);
}

/** The first and the last number between bounds that has few enough digits, in steps of 1/`perOne`. */
export function stepsWithin(bounds: Bounds, perOne: number): [number, number] {
  const near = [Math.max(bounds.low, bounds.above), -Math.min(bounds.high, bounds.below)] as const;
  const first = firstStep((value) => isHighEnough(value, bounds), near[0], perOne);
  return [first, -firstStep((value) => isLowEnough(-value, bounds), near[1], perOne)];
}

function withFraction(rules: JsonRules, bounds: Bounds): Way[] {
  const [first, last] = stepsWithin(bounds, STEPS);
  return [
    (at) => addSteps(rules, at, Math.max(first, 1), last),
    (at) => addSteps(rules, rules.book.text(at, "-"), Math.max(-last, 1), -first),
  ];
}

/** The first step that is far enough after rounding; `near` is where to begin. */
function firstStep(isFarEnough: (value: number) => boolean, near: number, perOne: number): number {
  // With more digits, the last ones would be rounded away.
  const limit = LARGEST / perOne;
  if (near >= limit) return Infinity;
  let step = Math.floor(Math.max(near, -limit) * perOne) - 1;
  while (!isFarEnough(step / perOne)) step++;
  return Math.max(step, -LARGEST);
}

/** Adds a number with a fraction and without a sign, between two counts of steps; there may be none. */
function addSteps(rules: JsonRules, from: Place, first: number, last: number): Place {
  const { book } = rules;
  const end = book.place();
  const add = (low: number, high: number, least: number, most: number): void => {
    if (low > high || least > most) return;
    const point = book.text(addWhole(rules, from, low, high), ".");
    book.skip(addFraction(rules, point, least, most), end);
  };
  if (first > last) return end;
  const [low, high] = [Math.floor(first / STEPS), Math.floor(last / STEPS)];
  const [least, most] = [Math.max(first % STEPS, 1), last % STEPS];
  if (low === high) {
    add(low, high, least, most);
    return end;
  }
  const isLowWhole = least === 1;
  if (!isLowWhole) add(low, low, least, STEPS - 1);
  add(isLowWhole ? low : low + 1, high - 1, 1, STEPS - 1);
  add(high, high, 1, most);
  return end;
}

/** Adds digits after a point that make from `least` to `most` steps. Trailing zeros are not written, so their number varies. */
function addFraction({ book }: JsonRules, from: Place, least: number, most: number): Place {
  const digitsOf = (steps: number): number[] => Array.from(`${steps}`.padStart(FRACTION_DIGITS, "0"), Number);
  const [low, high] = [digitsOf(least), digitsOf(most)];
  const rule = book.rule(`fraction ${least} ${most}`, (start) => {
    const end = book.place();
    const known = new Map<string, Place>();
    /** Adds what may follow a place after `index` digits; `isLow`, `isHigh`: these equal those of the lowest or highest number. */
    const add = (at: Place, index: number, isLow: boolean, isHigh: boolean): void => {
      const [first, last] = [isLow ? (low[index] ?? 0) : 0, isHigh ? (high[index] ?? 0) : 9];
      const edges = new Set([...(isLow ? [first] : []), ...(isHigh ? [last] : [])]);
      const inner: [number, number] = [isLow ? first + 1 : first, isHigh ? last - 1 : last];
      for (const [a, b] of [...[...edges].map((edge) => [edge, edge] as const), inner]) {
        if (a > b) continue;
        const [staysLow, staysHigh] = [isLow && a === first, isHigh && b === last];
        const canEnd = !staysLow || low.slice(index + 1).every((digit) => digit === 0);
        if (canEnd && b > 0) book.byte(at, ZERO + Math.max(a, 1), ZERO + b, end);
        const goesOn = !staysHigh || high.slice(index + 1).some((digit) => digit > 0);
        if (!goesOn || index + 1 === FRACTION_DIGITS) continue;
        const key = `${index} ${staysLow} ${staysHigh}`;
        const next = known.get(key) ?? book.place();
        book.byte(at, ZERO + a, ZERO + b, next);
        if (known.has(key)) continue;
        known.set(key, next);
        add(next, index + 1, staysLow, staysHigh);
      }
    };
    add(start, 0, true, true);
    return end;
  });
  return book.call(from, rule);
}

/** Adds a whole number without a sign between two; there may be none. */
function addWhole({ book }: JsonRules, from: Place, low: number, high: number): Place {
  const end = book.place();
  for (let length = 1; length <= MAX_DIGITS; length++) {
    const first = Math.max(low, length === 1 ? 0 : 10 ** (length - 1));
    const last = Math.min(high, 10 ** length - 1);
    if (first > last) continue;
    const bytesOf = (number: number): number[] => [...new TextEncoder().encode(`${number}`)];
    addBytes(book, { from, to: end }, { low: bytesOf(first), high: bytesOf(last) }, [ZERO, NINE]);
  }
  return end;
}

/**
 * @file Numbers between two bounds as rules.
 *
 * With a fraction, a number lies strictly between two whole ones, as its last digit is not zero; so the whole parts alone
 * decide. Numbers that a fractional bound would still allow beyond its nearest whole one are left out.
 */
import type { Place } from "./automaton.ts";
import { addBytes } from "./characters.ts";
import { type JsonRules, MAX_DIGITS, either } from "./json-rules.ts";

/** The least and the greatest that are allowed; whole numbers have their own, as a bound itself may be excluded. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly wholeLow: number;
  readonly wholeHigh: number;
}

export const NO_BOUNDS: Bounds = {
  low: -Infinity,
  high: Infinity,
  wholeLow: -Infinity,
  wholeHigh: Infinity,
};

/** What lies between both bounds. */
export function meetBounds(a: Bounds, b: Bounds): Bounds {
  return {
    low: Math.max(a.low, b.low),
    high: Math.min(a.high, b.high),
    wholeLow: Math.max(a.wholeLow, b.wholeLow),
    wholeHigh: Math.min(a.wholeHigh, b.wholeHigh),
  };
}

/** Whether a number surely lies between bounds. */
export function isWithin(value: number, { low, high, wholeLow, wholeHigh }: Bounds): boolean {
  return Number.isInteger(value) ? value >= wholeLow && value <= wholeHigh : value > low && value < high;
}

const [ZERO, NINE] = [0x30, 0x39];
const LARGEST = 10 ** MAX_DIGITS - 1;
/** With more digits before the point, those after it would be rounded away. */
const LARGEST_WITH_FRACTION = 10 ** 9 - 1;
const FRACTION_DIGITS = 6;

/** A whole number, or any, between bounds. */
export function addNumber(rules: JsonRules, from: Place, bounds: Bounds, isWhole: boolean): Place {
  const { book } = rules;
  const [low, high] = [Math.max(bounds.wholeLow, -LARGEST), Math.min(bounds.wholeHigh, LARGEST)];
  const [first, last] = [
    Math.max(Math.ceil(bounds.low), -LARGEST),
    Math.min(Math.floor(bounds.high), LARGEST),
  ];
  const rule = book.rule(`number ${[low, high, first, last, isWhole].join(" ")}`, (start) =>
    either(book, start, [
      (at) => addWhole(rules, at, 0, Math.max(low, 0), high),
      (at) => addWhole(rules, book.text(at, "-"), 1, Math.max(-high, 1), -low),
      ...(isWhole ? [] : withFraction(rules, first, last)),
    ]),
  );
  return book.call(from, rule);
}

function withFraction(rules: JsonRules, first: number, last: number): ((from: Place) => Place)[] {
  const { book } = rules;
  const most = (bound: number): number => Math.min(bound, LARGEST_WITH_FRACTION) - 1;
  return [
    (at) => fraction(rules, addWhole(rules, at, 0, Math.max(first, 0), most(last))),
    (at) => fraction(rules, addWhole(rules, book.text(at, "-"), 0, Math.max(-last, 0), most(-first))),
  ];
}

function fraction(rules: JsonRules, from: Place): Place {
  const { book } = rules;
  const digits = rules.digits(book.text(from, "."), 0, FRACTION_DIGITS - 1);
  return book.byte(digits, ZERO + 1, NINE);
}

/** A whole number without a sign between two; there may be none. */
function addWhole({ book }: JsonRules, from: Place, least: number, low: number, high: number): Place {
  const end = book.place();
  for (let length = 1; length <= MAX_DIGITS; length++) {
    const first = Math.max(least, low, length === 1 ? 0 : 10 ** (length - 1));
    const last = Math.min(high, 10 ** length - 1);
    if (first > last) continue;
    const bytesOf = (number: number): number[] => [...new TextEncoder().encode(`${number}`)];
    addBytes(book, from, bytesOf(first), bytesOf(last), end, [ZERO, NINE]);
  }
  return end;
}

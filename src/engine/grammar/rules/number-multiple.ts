/**
 * @file Multiples of a number as rules: places track the remainder of the digits so far by the step and, between bounds, whether
 * the digits equal those of a bound so far.
 *
 * A step with k digits after the point is counted in units of 10⁻ᵏ, and all k digits are written.
 */
import type { Place, RuleBook } from "./automaton.ts";
import { type JsonRules, MAX_DIGITS, either } from "./json-rules.ts";
import { type Bounds, type NumberType, stepsWithin } from "./number-range.ts";

/** Limits the step, since each remainder needs a place after each digit. */
const MAX_STEP = 1000;
const ZERO = 0x30;

/** A step in units of 10⁻ᵏ; `digits` is k. */
export interface Step {
  readonly units: number;
  readonly digits: number;
}

/** The least common multiple of some numbers, of a number type of JSON schemas; null: it is too large, or cannot be computed. */
export function commonStep(numbers: readonly number[], type: NumberType): Step | null {
  const isWhole = type === "integer";
  const steps = [...numbers, ...(isWhole ? [1] : [])].map((each) => /^(\d+)(?:\.(\d+))?$/.exec(`${each}`));
  const digits = Math.max(...steps.map((found) => found?.[2]?.length ?? 0));
  const units = steps.reduce((least, found) => {
    const own = found ? Number(found[1] + (found[2] ?? "").padEnd(digits, "0")) : Infinity;
    return (least / greatestDivisor(least, own)) * own;
  }, 1);
  if (!(units <= MAX_STEP * (isWhole ? 10 ** digits : 1))) return null;
  return isWhole ? { units: units / 10 ** digits, digits: 0 } : { units, digits };
}

function greatestDivisor(a: number, b: number): number {
  return Number.isFinite(b) && b > 0 ? greatestDivisor(b, a % b) : a;
}

/** Whether a number is a multiple of a step. */
export function isMultiple(value: number, { units, digits }: Step): boolean {
  const count = Math.round(value * 10 ** digits);
  return count / 10 ** digits === value && count % units === 0;
}

/** Adds the multiples of a step between bounds. */
export function addMultiple(rules: JsonRules, from: Place, bounds: Bounds, step: Step): Place {
  const { book } = rules;
  const [first, last] = stepsWithin(bounds, 10 ** step.digits);
  const rule = book.rule(`multiple ${step.units} ${step.digits} ${first} ${last}`, (start) =>
    either(book, start, [
      (at) => addPositive(rules, at, [Math.max(first, 0), last], step),
      (at) => addPositive(rules, book.text(at, "-"), [Math.max(-last, 1), -first], step),
    ]),
  );
  return book.call(from, rule);
}

/** Adds multiples without a sign, from the first to the last, in units; there may be none. */
function addPositive(
  { book }: JsonRules,
  from: Place,
  [first, last]: readonly [number, number],
  step: Step,
): Place {
  const digits = new Digits(book, step);
  // At least one digit stands before the point, and the first of several is not zero.
  for (let length = step.digits + 1; length <= MAX_DIGITS; length++) {
    const least = Math.max(first, length === step.digits + 1 ? 0 : 10 ** (length - 1));
    const most = Math.min(last, 10 ** length - 1);
    if (least > most) continue;
    const digitsOf = (units: number): string => `${units}`.padStart(length, "0");
    const start = book.place();
    book.skip(from, start);
    digits.follow(start, length, 0, [digitsOf(least), digitsOf(most)]);
  }
  return digits.end;
}

/** The remaining digits of the lower and the upper bound; null: the number already differs from that bound. */
type Rest = readonly [low: string | null, high: string | null];

/** The digits of multiples of a step, up to a common end. Away from bounds, equal remainders share a place. */
class Digits {
  readonly end: Place;
  readonly #book: RuleBook;
  readonly #step: Step;
  readonly #known = new Map<string, Place>();

  constructor(book: RuleBook, step: Step) {
    this.end = book.place();
    this.#book = book;
    this.#step = step;
  }

  #placeOf(numLeft: number, rest: number): Place {
    const key = `${numLeft} ${rest}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const place = this.#book.place();
    this.#known.set(key, place);
    this.follow(place, numLeft, rest, [null, null]);
    return place;
  }

  /** Adds the digits that may follow a place, with `numLeft` digits to come. `rest`: remainder of the digits so far by the step. */
  follow(place: Place, numLeft: number, rest: number, [low, high]: Rest): void {
    const [book, step] = [this.#book, this.#step];
    const at = numLeft === step.digits && numLeft > 0 ? book.text(place, ".") : place;
    for (let digit = Number(low?.[0] ?? 0); digit <= Number(high?.[0] ?? 9); digit++) {
      const left = (rest * 10 + digit) % step.units;
      const byte = ZERO + digit;
      if (numLeft === 1) {
        if (left === 0) book.byte(at, byte, byte, this.end);
        continue;
      }
      const lower = low !== null && digit === Number(low[0]) ? low.slice(1) : null;
      const higher = high !== null && digit === Number(high[0]) ? high.slice(1) : null;
      if (lower === null && higher === null) {
        book.byte(at, byte, byte, this.#placeOf(numLeft - 1, left));
      } else {
        this.follow(book.byte(at, byte), numLeft - 1, left, [lower, higher]);
      }
    }
  }
}

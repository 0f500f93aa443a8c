/** @file Operators: those between two values, and those before one. */
import { fixedText, padded } from "./fitted.ts";
import { isIn, requireDefined } from "./members.ts";
import type { Meter } from "./meter.ts";
import { type JinjaValue, asNumber, compare, isEqual, isNumber, isTrue, kindOf } from "./values.ts";
import { writeText, writeWithin } from "./written.ts";

type Operator = (left: JinjaValue, right: JinjaValue, meter: Meter) => JinjaValue;

/** An operation on two numbers; the result for integers is an integer if `whole` is given. */
interface Arithmetic {
  readonly whole: ((a: bigint, b: bigint) => JinjaValue) | null;
  readonly float: (a: number, b: number) => number;
}

/** Maximum size of an integer, in bits. */
const MAX_BITS = 4096n;

function requireDivisor(b: bigint | number): void {
  if (b == 0) throw new Error("division by zero");
}

const ARITHMETIC: Readonly<Record<string, Arithmetic>> = {
  "+": { whole: (a, b) => a + b, float: (a, b) => a + b },
  "-": { whole: (a, b) => a - b, float: (a, b) => a - b },
  "*": { whole: (a, b) => bounded(a * b), float: (a, b) => a * b },
  "/": { whole: null, float: (a, b) => a / b },
  "//": { whole: (a, b) => (a - modulo(a, b)) / b, float: (a, b) => Math.floor(a / b) },
  "%": { whole: modulo, float: (a, b) => a - Math.floor(a / b) * b },
  "**": {
    whole: (a, b) => {
      if (b < 0n) return Number(a) ** Number(b);
      if (b > MAX_BITS) throw new Error("a power that is too large");
      return bounded(a ** b);
    },
    float: (a, b) => a ** b,
  },
};

/** The remainder has the sign of the divisor. */
function modulo(a: bigint, b: bigint): bigint {
  return ((a % b) + b) % b;
}

function bounded(value: bigint): bigint {
  if (BigInt.asIntN(Number(MAX_BITS), value) === value) return value;
  throw new Error("a whole number that is too large");
}

function calculate(operator: string, left: bigint | number, right: bigint | number): JinjaValue {
  const { whole, float } = ARITHMETIC[operator]!;
  if (["/", "//", "%"].includes(operator)) requireDivisor(right);
  if (whole !== null && typeof left === "bigint" && typeof right === "bigint") return whole(left, right);
  return float(Number(left), Number(right));
}

function between(operator: string): Operator {
  return (left, right, meter) => {
    requireDefined(left);
    requireDefined(right);
    if (isNumber(left) && isNumber(right)) return calculate(operator, asNumber(left), asNumber(right));
    if (operator === "+" && typeof left === "string" && typeof right === "string") {
      meter.text(left.length + right.length);
      return left + right;
    }
    if (operator === "+" && Array.isArray(left) && Array.isArray(right)) {
      meter.items(left.length + right.length);
      return [...left, ...right];
    }
    if (operator === "*" && typeof left === "string" && typeof right === "bigint") {
      meter.text(left.length * Math.max(0, Number(right)));
      return left.repeat(Math.max(0, Number(right)));
    }
    if (operator === "%" && typeof left === "string")
      return formatText(left, Array.isArray(right) ? right : [right], meter);
    throw new Error(`${kindOf(left)} ${operator} ${kindOf(right)} is not defined`);
  };
}

function ordered(test: (order: number) => boolean): Operator {
  return (left, right) => {
    requireDefined(left);
    requireDefined(right);
    return test(compare(left, right));
  };
}

const isSame: Operator = (left, right, meter) => isEqual(left, right, meter.counter());

/** Operators whose two operands are both evaluated. */
export const BINARY: Readonly<Record<string, Operator>> = {
  ...Object.fromEntries(Object.keys(ARITHMETIC).map((operator) => [operator, between(operator)])),
  "~": (left, right, meter) => {
    const text = writeText(left, meter.counter()) + writeText(right, meter.counter());
    meter.text(text.length);
    return text;
  },
  "==": isSame,
  "!=": (left, right, meter) => !isSame(left, right, meter),
  "<": ordered((order) => order < 0),
  "<=": ordered((order) => order <= 0),
  ">": ordered((order) => order > 0),
  ">=": ordered((order) => order >= 0),
  in: isIn,
  "not in": (left, right, meter) => !isIn(left, right, meter),
};

/** Computes `not`, `-` or `+` of one value. @throws Error for `-` or `+` of a value that is not a number */
export function negate(operator: string, value: JinjaValue): JinjaValue {
  if (operator === "not") return !isTrue(value);
  if (!isNumber(value)) throw new Error(`${operator}${kindOf(value)} is not defined`);
  return operator === "-" ? -asNumber(value) : asNumber(value);
}

/**
 * Computes `text % values`, with the directives that templates use.
 * @throws Error for other directives than %s, %r, %d, %i and %f
 */
export function formatText(text: string, values: readonly JinjaValue[], meter: Meter): string {
  let place = 0;
  const writeOne = (value: JinjaValue, kind: string, precision: string | undefined): string | null => {
    if (kind === "f" && isNumber(value)) return fixedText(Number(value), Number(precision ?? 6));
    if (precision !== undefined) return null;
    if (kind === "s") return writeText(value, meter.counter());
    if (kind === "r") return writeWithin(value, meter.counter());
    const isWhole = (kind === "d" || kind === "i") && isNumber(value);
    return isWhole ? String(Math.trunc(Number(value))) : null;
  };
  const pattern = /%(-?)(0?)(\d*)(?:\.(\d+))?(.?)/gs;
  const written = text.replace(pattern, (directive: string, ...parts: string[]) => {
    const [left, zero, width, precision, kind = ""] = parts;
    if (directive === "%%") return "%";
    if (place >= values.length) throw new Error("not enough values for the format");
    const value = values[place++]!;
    const one = writeOne(value, kind, precision);
    if (one === null) throw new Error(`format ${directive} of ${kindOf(value)} is unknown`);
    meter.text(Number(width));
    if (left !== "" || zero === "" || !isNumber(value))
      return padded(one, Number(width), left === "" ? ">" : "<");
    const sign = one.startsWith("-") ? "-" : "";
    return sign + padded(one.slice(sign.length), Number(width) - sign.length, ">", "0");
  });
  meter.text(written.length);
  return written;
}

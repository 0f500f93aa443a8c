/**
 * @file Numbers that JavaScript would write otherwise, and templates, which are Python's, as they are: whole ones that it would round, such
 * as ids of 64 bits, and floats whose value is whole, as `1.0` and `1e5` are. They stay as they are written.
 */

/** A number as it is written in JSON, where it is the number again. */
class WrittenNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return EXACT.rawJSON?.(this.text) ?? Number(this.text);
  }
}

/** A whole number beyond 2⁵³. */
export class LongInteger extends WrittenNumber {}

/** A float whose value is whole. */
export class WholeFloat extends WrittenNumber {}

/** What Node has from 21 on; before, numbers are rounded. */
const EXACT = JSON as { readonly rawJSON?: (text: string) => unknown };

/** A whole number as files of JSON give it. */
export function fromBigint(value: bigint): number | LongInteger {
  return Number.isSafeInteger(Number(value)) ? Number(value) : new LongInteger(String(value));
}

/** Whether a value of JSON is a number and no object with keys. */
export function isWrittenNumber(value: unknown): boolean {
  return value instanceof WrittenNumber;
}

/** The nearest number that JavaScript has; other values as they are. */
export function rounded(value: unknown): unknown {
  return value instanceof WrittenNumber ? Number(value.text) : value;
}

/** A value with what is in it, of which floats are numbers: of their form nobody but templates knows. */
export function withPlainFloats(value: unknown): unknown {
  if (value instanceof WholeFloat) return rounded(value);
  if (Array.isArray(value)) return value.map(withPlainFloats);
  if (typeof value !== "object" || value === null || value instanceof LongInteger) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withPlainFloats(each)]));
}

/** A text has this where it has such a number; most have not. */
const MANY_DIGITS_OR_FLOAT = /\d{16}|(?:^|[[:,])\s*-?\d+(?:\.0+(?!\d)|(?:\.\d+)?[eE])/;

/** Parses JSON, of which such numbers become `LongInteger` and `WholeFloat`. @throws SyntaxError */
export function parseJson(text: string): unknown {
  return MANY_DIGITS_OR_FLOAT.test(text) ? JSON.parse(text, keepWritten) : JSON.parse(text);
}

function keepWritten(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined) return value;
  const isWhole = /^-?\d+$/.test(source);
  if (isWhole === Number.isSafeInteger(value)) return value;
  return isWhole ? new LongInteger(source) : new WholeFloat(source);
}

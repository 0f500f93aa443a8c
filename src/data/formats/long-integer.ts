/**
 * @file Numbers that JavaScript would write differently than Python, whose templates print them: integers that it would round,
 * such as 64-bit ids, and floats with an integer value, such as `1.0` and `1e5`. They are kept as they are written.
 */

/** A number as written in JSON; `JSON.stringify` writes it as that number again. */
class WrittenNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return EXACT.rawJSON?.(this.text) ?? Number(this.text);
  }
}

/** An integer beyond 2⁵³. */
export class LongInteger extends WrittenNumber {}

/** A float with an integer value. */
export class WholeFloat extends WrittenNumber {}

/** `rawJSON` exists from Node 21 on; before that, numbers are rounded. */
const EXACT = JSON as { readonly rawJSON?: (text: string) => unknown };

/** Converts an integer to the value that parsing JSON would give. */
export function fromBigint(value: bigint): number | LongInteger {
  return Number.isSafeInteger(Number(value)) ? Number(value) : new LongInteger(String(value));
}

/** Whether a parsed value is a number kept as written, not an object with keys. */
export function isWrittenNumber(value: unknown): boolean {
  return value instanceof WrittenNumber;
}

/** The nearest JavaScript number; other values unchanged. */
export function rounded(value: unknown): unknown {
  return value instanceof WrittenNumber ? Number(value.text) : value;
}

/** Converts floats in a value, at any depth, to plain numbers; only templates need their written form. */
export function withPlainFloats(value: unknown): unknown {
  if (value instanceof WholeFloat) return rounded(value);
  if (Array.isArray(value)) return value.map(withPlainFloats);
  if (typeof value !== "object" || value === null || value instanceof LongInteger) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withPlainFloats(each)]));
}

/** Matches every text that has such a number; most texts have none. */
const MANY_DIGITS_OR_FLOAT = /\d{16}|(?:^|[[:,])\s*-?\d+(?:\.0+(?!\d)|(?:\.\d+)?[eE])/;

/** Parses JSON; such numbers become `LongInteger` and `WholeFloat`. @throws SyntaxError */
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

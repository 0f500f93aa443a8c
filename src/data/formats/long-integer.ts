/** @file Whole numbers that JavaScript would round, such as ids of 64 bits: they stay as they are written. */

/** A whole number beyond 2⁵³; in JSON it is the number again. */
export class LongInteger {
  readonly digits: string;

  constructor(digits: string) {
    this.digits = digits;
  }

  toJSON(): unknown {
    return EXACT.rawJSON?.(this.digits) ?? Number(this.digits);
  }
}

/** What Node has from 21 on; before, numbers are rounded. */
const EXACT = JSON as { readonly rawJSON?: (text: string) => unknown };

/** A whole number as files of JSON give it. */
export function fromBigint(value: bigint): number | LongInteger {
  return Number.isSafeInteger(Number(value)) ? Number(value) : new LongInteger(String(value));
}

/** The nearest number that JavaScript has; other values as they are. */
export function rounded(value: unknown): unknown {
  return value instanceof LongInteger ? Number(value.digits) : value;
}

/** Every such number contains this; most texts do not. */
const MANY_DIGITS = /\d{16}/;

/** Parses JSON, of which whole numbers beyond 2⁵³ become `LongInteger`. @throws SyntaxError */
export function parseJson(text: string): unknown {
  return MANY_DIGITS.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
}

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
  return isRounded && /^-?\d+$/.test(context?.source ?? "") ? new LongInteger(context!.source!) : value;
}

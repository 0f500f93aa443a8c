/** @file Writes texts and numbers as formats require: with a number of decimals, and padded to a width. */

/** Additional digits that distinguish an exact half from nearby numbers. */
const MORE_DIGITS = 30;
/** Limits of `toFixed`: decimals, and the bound of numbers. */
const [MAX_DIGITS, MAX_VALUE] = [100, 1e21];

/** Writes a number with `digits` decimals, rounding halves to even, as Python does. @throws Error beyond the limits of `toFixed` */
export function fixedText(value: number, digits: number): string {
  if (digits + MORE_DIGITS > MAX_DIGITS || !(Math.abs(value) < MAX_VALUE))
    throw new Error(`${value} with ${digits} digits behind the point is too long`);
  const up = value.toFixed(digits);
  const rest = value.toFixed(digits + MORE_DIGITS).slice(-MORE_DIGITS);
  const isHalf = /^50*$/.test(rest);
  if (!isHalf || !/[13579]$/.test(up)) return up;
  // The digit before the half is even, so the number is cut off; exact halves have exact digits.
  const cut = value.toFixed(digits + MORE_DIGITS).slice(0, -MORE_DIGITS);
  return cut.endsWith(".") ? cut.slice(0, -1) : cut;
}

/** Rounds a number, halves to even; negative `digits`: to tens, hundreds and so on. */
export function rounded(value: number, digits: number): number {
  if (!(Math.abs(value) < MAX_VALUE)) return value;
  if (digits >= 0) return Number(fixedText(value, digits));
  const step = 10 ** -digits;
  return Number(fixedText(value / step, 0)) * step;
}

/** Pads a text to a width, counted in characters; if it is centred, an odd padding is split as in Python. */
export function padded(text: string, width: number, align: "<" | ">" | "^", fill = " "): string {
  const missing = Math.max(0, width - Array.from(text).length);
  const before = align === "<" ? 0 : align === ">" ? missing : (missing >> 1) + (missing & width & 1);
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

/** @file Texts and numbers as formats ask for them: with so many digits behind the point, and filled up to a width. */

/** Digits beyond those asked for by which a half is told from what lies beside it. */
const MORE_DIGITS = 30;
/** What `toFixed` writes at most: digits behind the point, and numbers below. */
const [MAX_DIGITS, MAX_VALUE] = [100, 1e21];

/** Writes a number with so many digits behind the point, a half to the even digit, as Python does. @throws Error for more than can be */
export function fixedText(value: number, digits: number): string {
  if (digits + MORE_DIGITS > MAX_DIGITS || !(Math.abs(value) < MAX_VALUE))
    throw new Error(`${value} with ${digits} digits behind the point is too long`);
  const up = value.toFixed(digits);
  const rest = value.toFixed(digits + MORE_DIGITS).slice(-MORE_DIGITS);
  const isHalf = /^50*$/.test(rest);
  if (!isHalf || !/[13579]$/.test(up)) return up;
  // The digit before is even: whole halves have exact digits.
  const cut = value.toFixed(digits + MORE_DIGITS).slice(0, -MORE_DIGITS);
  return cut.endsWith(".") ? cut.slice(0, -1) : cut;
}

/** Rounds a number, a half to the even digit; `digits` below 0: to tens, hundreds and so on. */
export function rounded(value: number, digits: number): number {
  if (!(Math.abs(value) < MAX_VALUE)) return value;
  if (digits >= 0) return Number(fixedText(value, digits));
  const step = 10 ** -digits;
  return Number(fixedText(value / step, 0)) * step;
}

/** Fills a text up to a width, counted in characters; in the middle the odd one stands where Python has it. */
export function padded(text: string, width: number, align: "<" | ">" | "^", fill = " "): string {
  const missing = Math.max(0, width - Array.from(text).length);
  const before = align === "<" ? 0 : align === ">" ? missing : (missing >> 1) + (missing & width & 1);
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

/** @file Formats all numbers for people: never with an exponent, and digits in groups of three. */

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;
/** A smaller share is written as "less than". */
const SMALLEST_PERCENT = 0.001;

/** Formats a count, as in "1,234,567". */
export function formatCount(count: number): string {
  return count.toLocaleString("en");
}

/** Formats a number of things, as in "1 example" and "1,234 examples". */
export function formatCountOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Formats a number with a fixed number of decimals. */
export function formatFixed(value: number, numDecimals: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString("en", {
    minimumFractionDigits: numDecimals,
    maximumFractionDigits: numDecimals,
    useGrouping: false,
  });
}

/** Formats a loss. */
export function formatLoss(loss: number): string {
  return formatFixed(loss, 4);
}

/** Formats a share of 1 as a percentage with `numDigits` significant digits, but never cuts digits before the point. */
export function formatPercent(share: number, numDigits = 2): string {
  const value = 100 * share;
  if (!Number.isFinite(value)) return `${value} %`;
  if (value === 0) return "0 %";
  if (Math.abs(value) < SMALLEST_PERCENT) return `less than ${SMALLEST_PERCENT} %`;
  // 99.96 with three digits is "100", not "100.0".
  const numWhole = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(numDigits))))) + 1;
  return `${formatFixed(value, Math.max(0, numDigits - numWhole))} %`;
}

/** Formats a number of bytes with a decimal unit, as in "98.4 MB". */
export function formatBytes(bytes: number): string {
  let [value, unit] = [Math.round(bytes), 0];
  // 999.95 and more would be rounded to "1000.0".
  for (; value >= 999.95 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : formatFixed(value, 1)} ${UNITS[unit] ?? ""}`;
}

/** Formats a duration, as in "2 h 05 min", "3 min 20 s", "12 s", "0.3 s" or "7.2 ms". */
export function formatDuration(durationMs: number): string {
  if (durationMs > 0 && durationMs < 95) return `${Number(durationMs.toPrecision(2))} ms`;
  if (durationMs < 950) return `${Number((durationMs / 1000).toFixed(1))} s`;
  const seconds = Math.round(durationMs / 1000);
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${pad(Math.floor((seconds % 3600) / 60))} min`;
}

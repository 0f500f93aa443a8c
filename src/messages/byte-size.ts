/** @file Sizes of memory as people write them: "200MB", "1.5 GB", "768MiB"; a large number without a unit means bytes. */

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};
/** A smaller number lacks its unit: nobody means so little memory. */
const MIN_BARE_BYTES = 1e6;
const SIZE = /^(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?I?B?)$/;

/** The expected form of a size, for messages. */
export const A_SIZE = "a size such as 200MB or 1.5GB, of at least a million bytes";

/** Parses a size, as whole bytes; null: it is invalid or zero. */
export function parseByteSize(text: string): number | null {
  const [, digits, unit = ""] = SIZE.exec(text.trim().toUpperCase()) ?? [];
  const factor = UNITS[unit];
  if (digits === undefined || factor === undefined) return null;
  // Rounded to the nearest: 8.2 * 1e6 is 8,199,999.999999999.
  const sizeBytes = Math.round(Number(digits) * factor);
  return sizeBytes >= (unit === "" ? MIN_BARE_BYTES : 1) && Number.isSafeInteger(sizeBytes)
    ? sizeBytes
    : null;
}

/** Writes a size as `parseByteSize` reads it, never too small, and less than a tenth too large: "453MB", "1.2MB". */
export function showByteSize(sizeBytes: number): string {
  if (sizeBytes < 1e3) return `${Math.ceil(sizeBytes)}B`;
  const [unit, unitBytes] = sizeBytes < 1e6 ? ["KB", 1e3] : ["MB", 1e6];
  const size = sizeBytes / unitBytes;
  return `${size < 10 ? Math.ceil(size * 10) / 10 : Math.ceil(size)}${unit}`;
}

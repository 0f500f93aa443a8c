/** @file Sizes of memory as people write them: "200MB", "1.5 GB", "768MiB"; a number alone is bytes. */

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
const SIZE = /^(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?I?B?)$/;

/** What a size that cannot be read is told. */
export const EXPECTED_SIZE = "expected a size such as 200MB or 1.5GB";

/** Reads a size, as whole bytes; null: it is none, or nothing at all. */
export function parseByteSize(text: string): number | null {
  const [, digits, unit = ""] = SIZE.exec(text.trim().toUpperCase()) ?? [];
  const factor = UNITS[unit];
  if (digits === undefined || factor === undefined) return null;
  const sizeBytes = Math.floor(Number(digits) * factor);
  return sizeBytes > 0 && Number.isSafeInteger(sizeBytes) ? sizeBytes : null;
}

/** Writes a size as this reads it, never too small: "453MB". */
export function showByteSize(sizeBytes: number): string {
  return sizeBytes < 1e6 ? `${Math.ceil(sizeBytes / 1e3)}KB` : `${Math.ceil(sizeBytes / 1e6)}MB`;
}

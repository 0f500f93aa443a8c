/**
 * @file Ids that sort in the order in which they were made, even within a millisecond: UUIDs of version 7 (RFC 9562) without
 * hyphens, whose first random bits are a counter. The times that clients see are in seconds, in which many files may be uploaded.
 */

/** Largest number of three hexadecimal digits. */
const MAX_COUNT = 0xfff;

/** Makes a function that makes ids. `newId`: returns the digits of a UUID of version 4, for the random bits. */
export function orderedIds(nowMs: () => number, newId: () => string): () => string {
  let [lastMs, count] = [0, 0];
  return () => {
    const ms = Math.floor(nowMs());
    // If the clock was set back, the last time is kept.
    if (ms > lastMs) [lastMs, count] = [ms, 0];
    else if (count < MAX_COUNT) count++;
    else [lastMs, count] = [lastMs + 1, 0];
    // Then the variant and random bits.
    return `${lastMs.toString(16).padStart(12, "0")}7${count.toString(16).padStart(3, "0")}${newId().slice(16)}`;
  };
}

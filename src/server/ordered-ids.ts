/**
 * @file Ids that sort as they were made, those of one millisecond too: UUIDs of version 7 (RFC 9562) without hyphens, whose first
 * random bits are a counter. Times that clients are told are in seconds, in which many files may be uploaded.
 */

/** What three hexadecimal digits count. */
const MAX_COUNT = 0xfff;

/** Makes what makes ids. `newId`: gives the digits of a UUID of version 4, for the random bits. */
export function orderedIds(nowMs: () => number, newId: () => string): () => string {
  let [lastMs, count] = [0, 0];
  return () => {
    const ms = Math.floor(nowMs());
    // Of a clock that was set back the last time counts on.
    if (ms > lastMs) [lastMs, count] = [ms, 0];
    else if (count < MAX_COUNT) count++;
    else [lastMs, count] = [lastMs + 1, 0];
    // Behind it the variant, and bits that are random.
    return `${lastMs.toString(16).padStart(12, "0")}7${count.toString(16).padStart(3, "0")}${newId().slice(16)}`;
  };
}

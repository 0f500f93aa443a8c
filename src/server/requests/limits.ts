/**
 * @file The limits of what one client may use. Beyond them the server refuses a request instead of running out of memory.
 */

export interface Limits {
  /** Largest body of one request. */
  readonly maxBodyBytes: number;
  /** Requests a minute of one key, or of one address where no key is asked for; null: as many as come. */
  readonly requestsPerMinute: number | null;
  /** Texts that are written or wait; more are refused. */
  readonly maxTexts: number;
  /** Tokens of a request, prompts and new ones over all of its texts; null: what the model can. */
  readonly maxRequestTokens: number | null;
  /** Longest time from the arrival of the whole request to the end of its texts. */
  readonly requestTimeoutMs: number;
}

/** Largest bodies that may be in memory at a time. */
const NUM_BODIES = 8;

/** Bytes of bodies that may be in memory at a time, of all requests. */
export function bodyMemory({ maxBodyBytes }: Pick<Limits, "maxBodyBytes">): number {
  return NUM_BODIES * maxBodyBytes;
}

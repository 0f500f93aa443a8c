/** @file Limits for one client. Beyond them the server refuses a request instead of running out of memory. */

export interface Limits {
  /** Largest body of one request. */
  readonly maxBodyBytes: number;
  /** Requests per minute of one key, or of one address if no key is required; null: unlimited. */
  readonly requestsPerMinute: number | null;
  /** Texts that are being written or waiting; more are refused. */
  readonly maxTexts: number;
  /** Tokens of a request, prompts and new ones of all its texts together; null: as many as the model supports. */
  readonly maxRequestTokens: number | null;
  /** Longest time from the arrival of the whole request to the end of its texts. */
  readonly requestTimeoutMs: number;
}

/** How many bodies of the largest size may be in memory at a time. */
const NUM_BODIES = 8;

/** Most bytes of bodies in memory at a time, of all requests together. */
export function bodyMemory({ maxBodyBytes }: Pick<Limits, "maxBodyBytes">): number {
  return NUM_BODIES * maxBodyBytes;
}

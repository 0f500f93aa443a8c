/**
 * @file How many requests a minute each caller has left. A new caller has a minute's worth, which fills up again
 * evenly: capacity N, N/60 a second.
 */

const MINUTE_MS = 60_000;
/** Callers that are remembered before those who have all of their minute left are forgotten. */
const MAX_CALLERS = 10_000;

/** What a caller has after asking. */
export interface RateState {
  readonly isAllowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Until all of the minute is there again. */
  readonly resetMs: number;
  /** Until the next request is allowed. */
  readonly retryMs: number;
}

interface Bucket {
  level: number;
  atMs: number;
}

export class RateLimiter {
  readonly #limit: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(requestsPerMinute: number, now: () => number) {
    this.#limit = requestsPerMinute;
    this.#now = now;
  }

  /** Counts a request of a caller. */
  take(caller: string): RateState {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(caller) ?? { level: this.#limit, atMs: nowMs };
    this.#refill(bucket, nowMs);
    if (!this.#buckets.has(caller)) {
      if (this.#buckets.size >= MAX_CALLERS) this.#forget(nowMs);
      this.#buckets.set(caller, bucket);
    }
    const isAllowed = bucket.level >= 1;
    if (isAllowed) bucket.level -= 1;
    const msPerRequest = MINUTE_MS / this.#limit;
    return {
      isAllowed,
      limit: this.#limit,
      remaining: Math.floor(bucket.level),
      resetMs: Math.ceil((this.#limit - bucket.level) * msPerRequest),
      retryMs: Math.ceil(Math.max(0, 1 - bucket.level) * msPerRequest),
    };
  }

  #refill(bucket: Bucket, nowMs: number): void {
    const gained = (Math.max(0, nowMs - bucket.atMs) * this.#limit) / MINUTE_MS;
    bucket.level = Math.min(this.#limit, bucket.level + gained);
    bucket.atMs = nowMs;
  }

  /** Forgets callers that have all of their minute left; if there are none, the first that came. */
  #forget(nowMs: number): void {
    for (const [caller, bucket] of this.#buckets) {
      this.#refill(bucket, nowMs);
      if (bucket.level >= this.#limit) this.#buckets.delete(caller);
    }
    const [first] = this.#buckets.keys();
    if (this.#buckets.size >= MAX_CALLERS && first !== undefined) this.#buckets.delete(first);
  }
}

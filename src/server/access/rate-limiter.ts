/**
 * @file How many requests each caller has left. A new caller has the requests of a minute, which refill evenly: capacity N, N/60
 * per second.
 */

const MINUTE_MS = 60_000;
/** Number of remembered callers from which those with full capacity are forgotten. */
const MAX_CALLERS = 10_000;

/** The state of a caller after a request. */
export interface RateState {
  readonly isAllowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Time until the capacity is full again. */
  readonly resetMs: number;
  /** Time until the next request is allowed. */
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

  /** Forgets callers with full capacity; if there are none, the one that has been remembered longest. */
  #forget(nowMs: number): void {
    for (const [caller, bucket] of this.#buckets) {
      this.#refill(bucket, nowMs);
      if (bucket.level >= this.#limit) this.#buckets.delete(caller);
    }
    const [first] = this.#buckets.keys();
    if (this.#buckets.size >= MAX_CALLERS && first !== undefined) this.#buckets.delete(first);
  }
}

/** @file Limits the time of a request. Its work is aborted when the time is over, and when the server ends. */
import { ApiError } from "./api-error.ts";
import { unlessAborted } from "../engine/unless-aborted.ts";
import type { Limits } from "./requests/limits.ts";

/** The time limit of requests, and the signal that ends all of them. */
export interface RequestTime {
  readonly limits: Pick<Limits, "requestTimeoutMs">;
  readonly ending: AbortSignal;
}

/**
 * Runs work that ends early when its signal aborts: the client has gone, or the time is over (`late` aborts only then, or when
 * the server ends).
 * @throws ApiError 504 for work that fails because it is late, 503 because the server ends
 */
export async function withinTime<T>(
  { limits: { requestTimeoutMs }, ending }: RequestTime,
  gone: AbortSignal,
  work: (signal: AbortSignal, late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    const message = `The request was not completed within ${requestTimeoutMs / 1000} s`;
    late.abort(new ApiError(504, "request_timeout", message));
  }, requestTimeoutMs);
  const end = (): void => late.abort(ending.reason);
  // `AbortSignal.any` with the server's signal would stay in memory as long as the server.
  ending.addEventListener("abort", end);
  if (ending.aborted) end();
  try {
    return await work(AbortSignal.any([gone, late.signal]), late.signal);
  } catch (error) {
    if (!late.signal.aborted || gone.aborted) throw error;
    throw late.signal.reason;
  } finally {
    clearTimeout(timer);
    ending.removeEventListener("abort", end);
  }
}

/** Waits for work that cannot be aborted, but no longer than the time limit. @throws as `withinTime` */
export function waitInTime<T>(time: RequestTime, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal: never } = new AbortController();
  return withinTime(time, never, (signal) => unlessAborted(work(signal), signal));
}

/** @file Limits the time that a request may take. Its work is cut off when that time is over, and when the server ends. */
import { ApiError } from "./api-error.ts";
import { unlessAborted } from "../engine/unless-aborted.ts";
import type { Limits } from "./requests/limits.ts";

/** How long requests may take, and the end of all of them. */
export interface RequestTime {
  readonly limits: Pick<Limits, "requestTimeoutMs">;
  readonly ending: AbortSignal;
}

/**
 * Does work that ends early when its signal says so: nobody waits, or the time is over, of which `late` tells.
 * @throws ApiError 504 for what fails because it is late, 503 because the server ends
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
  // A signal made of one that lives as long as the server would stay with it.
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

/** Waits for work that cannot be cut off, but no longer than a request may take. @throws as `withinTime` */
export function waitInTime<T>(time: RequestTime, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal: never } = new AbortController();
  return withinTime(time, never, (signal) => unlessAborted(work(signal), signal));
}

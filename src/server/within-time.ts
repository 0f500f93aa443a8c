/** @file The time that a request may take, after which its work is cut off. */
import { ApiError } from "./api-error.ts";
import type { Limits } from "./limits.ts";

/**
 * Does work that ends early when its signal says so: nobody waits, or the time is over, of which `late` tells.
 * @throws ApiError 504 for what fails because it is late
 */
export async function withinTime<T>(
  { requestTimeoutMs }: Limits,
  gone: AbortSignal,
  work: (signal: AbortSignal, late: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), requestTimeoutMs);
  try {
    return await work(AbortSignal.any([gone, late.signal]), late.signal);
  } catch (error) {
    if (!late.signal.aborted || gone.aborted) throw error;
    throw new ApiError(504, `The request was not done within ${requestTimeoutMs / 1000} s`, {
      code: "request_timeout",
    });
  } finally {
    clearTimeout(timer);
  }
}

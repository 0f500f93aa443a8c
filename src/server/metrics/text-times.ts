/** @file How long texts took, in milliseconds, and upper bounds, in seconds, of the buckets into which that is counted. */
import type { ServeEnd } from "../../engine/serving/serve-request.ts";

export const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Buckets of times per token. */
export const TOKEN_SECONDS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1];

/** Makes a time one that there is only where a token was written; null: there is none. */
export function ifWritten(timeMs: (end: ServeEnd) => number): (end: ServeEnd) => number | null {
  return (end) => (end.numNewTokens > 0 ? timeMs(end) : null);
}

/** Finds the time between two tokens, on average over a text; null: it has no two. */
export function perTokenMs({ numNewTokens, totalMs, firstTokenMs }: ServeEnd): number | null {
  return numNewTokens > 1 ? (totalMs - firstTokenMs) / (numNewTokens - 1) : null;
}

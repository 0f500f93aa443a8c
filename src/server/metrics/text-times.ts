/** @file Times of texts in milliseconds, and the upper bounds, in seconds, of the histogram buckets for them. */
import type { ServeEnd } from "../../engine/serving/serve-request.ts";

export const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Buckets for times per token. */
export const TOKEN_SECONDS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1];

/** Limits a time to texts with at least one token; null for others. */
export function ifWritten(timeMs: (end: ServeEnd) => number): (end: ServeEnd) => number | null {
  return (end) => (end.numNewTokens > 0 ? timeMs(end) : null);
}

/** The average time between two tokens of a text; null: it has fewer than two. */
export function perTokenMs({ numNewTokens, totalMs, firstTokenMs }: ServeEnd): number | null {
  return numNewTokens > 1 ? (totalMs - firstTokenMs) / (numNewTokens - 1) : null;
}

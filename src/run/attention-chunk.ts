/** @file How many queries of a row attention computes at a time. */

/**
 * How many queries attention processes at once in rows of more than `above` tokens. Measured:
 * docs/log.md#attention-and-long-rows.
 */
export const ATTENTION_CHUNKS = [
  { above: 0, queries: 64 },
  { above: 512, queries: 128 },
  { above: 2048, queries: 256 },
] as const;

/** Queries at a time in rows of T tokens: a program has nodes for each chunk, so long rows need larger chunks. */
export function attentionChunkOf(numTokens: number): number {
  return (ATTENTION_CHUNKS.findLast(({ above }) => numTokens > above) ?? ATTENTION_CHUNKS[0]).queries;
}

/** How attention splits rows of T tokens, in chunks of `wanted` queries if that is given. */
export function cutAttention(
  numTokens: number,
  wanted: number | null,
): { readonly length: number; readonly count: number } {
  const length = wanted ?? attentionChunkOf(numTokens);
  return { length, count: Math.max(1, Math.ceil(numTokens / length)) };
}

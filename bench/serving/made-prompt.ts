/** @file Prompts that no two texts share, so that none is found in the cache. */

/** Ids for a row of texts, apart from the first and last hundred, among which special ones lie. */
export function madePrompt(row: number, length: number, numOutputs: number, seed = 0): number[] {
  return Array.from({ length }, (_, i) => 100 + ((row * 977 + seed * 31 + i * 7) % (numOutputs - 200)));
}

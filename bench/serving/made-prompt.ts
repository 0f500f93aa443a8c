/** @file Prompts that no two texts share, so that none is found in the cache. */

/** Makes the ids of a prompt, without the first and last hundred ids, among which special ones are. */
export function madePrompt(row: number, length: number, numOutputs: number, seed = 0): number[] {
  return Array.from({ length }, (_, i) => 100 + ((row * 977 + seed * 31 + i * 7) % (numOutputs - 200)));
}

/**
 * @file Tokens that were added to be found in normalized text: they are written as they stand in it, as "▁<tool>" for "<tool>", whose
 * mark is a space. The library writes them as their file does, and leaves that space out.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

/** Has such tokens written as the reference does; called when the steps are the reference's. */
export function writeNormalized(
  { added_tokens: tokens, normalizer }: SplittingTokenizer,
  vocab: (string | undefined)[],
): void {
  if (!normalizer?.normalize) return;
  for (const { id, content, normalized } of tokens) if (normalized) vocab[id] = normalizer.normalize(content);
}

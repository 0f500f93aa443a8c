/**
 * @file Added tokens that are found in normalized text are decoded in their normalized form, such as "▁<tool>" for "<tool>",
 * whose mark is a space. The library decodes them as in the file, and so loses that space.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

/** Makes a tokenizer decode such tokens as the reference does; to be called when the steps are the reference's. */
export function writeNormalized(
  { added_tokens: tokens, normalizer }: SplittingTokenizer,
  vocab: (string | undefined)[],
): void {
  if (!normalizer?.normalize) return;
  for (const { id, content, normalized } of tokens) if (normalized) vocab[id] = normalizer.normalize(content);
}

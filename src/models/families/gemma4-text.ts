/**
 * @file The Gemma 4 family, its text part: five layers with a window for each without, which has heads of its own of which a part
 * turns, and values that may be its keys before their norm.
 *
 * Models: "Gemma 4", Google DeepMind, 2026.
 */
import { openGemma4 } from "../blocks/gemma4.ts";
import { GEMMA4_GGUF } from "../config/gemma4-gguf.ts";
import type { Family } from "../family.ts";

export const gemma4Text: Family = {
  modelType: "gemma4_text",
  summary: "Gemma 4 for text, without embeddings of each layer",
  traits:
    "Four norms a block and one on each head of queries, keys and values; five layers with a window for each without, which has heads of another width, whose last columns do not turn, and may take its keys as values; each block has a factor, and embeddings are scaled. Models with embeddings of each layer, or whose layers share keys (E2B and E4B), are refused.",
  gguf: GEMMA4_GGUF,
  open: openGemma4,
};

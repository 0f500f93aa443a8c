/**
 * @file The text part of the Gemma 4 family. Layers without a window have other heads than those with one: only a part of each
 * rotates, and values may be the keys before their norm. Small models have embeddings for each layer, and layers that share keys;
 * one model has experts.
 *
 * Models: "Gemma 4", Google DeepMind, 2026.
 */
import { openGemma4 } from "./gemma4-text/blocks.ts";
import { GEMMA4_GGUF } from "./gemma4-text/gguf.ts";
import type { Family } from "../family.ts";

export const gemma4Text: Family = {
  modelType: "gemma4_text",
  summary: "Gemma 4 for text",
  traits:
    "Four norms a block and one on each head of queries, keys and values; layers with a window between layers without; these have heads of another width, whose last columns are not rotated, and may take their keys as values; each block has a factor, and embeddings are scaled. In E2B and E4B each layer has embeddings of its own, of which only the rows of a text are read, and the last layers read the keys and values of an earlier one and keep none. In 26B-A4B every layer has experts beside its feed-forward part, of which a router that reads the stream itself chooses a few for each token. Adapters can sit on that router (`router.proj`) and on every expert.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  gguf: GEMMA4_GGUF,
  open: openGemma4,
};

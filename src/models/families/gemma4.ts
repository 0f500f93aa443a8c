/** @file The text part of published Gemma 4 models, which also read images and sound; neither is read. */
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import type { Family, RawConfig } from "../family.ts";
import { gemma4Text } from "./gemma4-text.ts";

const ownConfig = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: {},
    // Whether the head is tied is a setting of the whole model.
    fixed: { model_type: gemma4Text.modelType, tie_word_embeddings: raw["tie_word_embeddings"] ?? true },
    classes: { telling: "Gemma4", writing: "Gemma4" },
  });

export const gemma4: Family = {
  modelType: "gemma4",
  summary: "The text part of Gemma 4 models that also read images: E2B, E4B, 26B-A4B and 31B",
  traits: "The blocks of Gemma 4 for text. What reads images and sound is skipped.",
  autoClasses: { "sequence-classification": null },
  // The file holds the text part, and is read back as a model for text.
  gguf: gemma4Text.gguf,
  open: (raw) => withTextCheckpoint(gemma4Text.open(ownConfig(raw)), ownConfig),
};

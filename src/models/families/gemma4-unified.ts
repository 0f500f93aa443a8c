/** @file The text part of Gemma 4 models that read images and sound without separate towers; neither is read. */
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import type { Family, RawConfig } from "../family.ts";
import { gemma4Text } from "./gemma4-text.ts";

/** Defaults for settings that its files may lack. */
const DEFAULTS = { sliding_window: 1024, max_position_embeddings: 262_144 };

const ownConfig = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULTS,
    // None of them has embeddings for each layer, or experts; whether the head is tied is a setting of the whole model.
    fixed: {
      model_type: gemma4Text.modelType,
      hidden_size_per_layer_input: 0,
      enable_moe_block: false,
      tie_word_embeddings: raw["tie_word_embeddings"] ?? true,
    },
    classes: { telling: "Gemma4", writing: "Gemma4" },
  });

export const gemma4Unified: Family = {
  modelType: "gemma4_unified",
  summary: "The text part of the Gemma 4 model that reads images and sound without towers: 12B",
  traits: "The blocks of Gemma 4 for text. Embeddings of images and sound are skipped.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  // The file holds the text part, and is read back as a model for text.
  gguf: gemma4Text.gguf,
  open: (raw) => withTextCheckpoint(gemma4Text.open(ownConfig(raw)), ownConfig),
};

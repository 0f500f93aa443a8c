/** @file The text part of Gemma 3 models that also read images (4B and larger); images are not read. */
import type { Family, RawConfig } from "../family.ts";
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { GEMMA3_GGUF, gemma3Text, openGemma3 } from "./gemma3-text.ts";

/** Default sizes, those of the smallest model: transformers only writes sizes of the text part that differ from them. */
const DEFAULT_SIZES = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
};

const ownConfig = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULT_SIZES,
    // Only the model for text has a cap.
    fixed: { final_logit_softcapping: null, model_type: gemma3Text.modelType },
    classes: { telling: "Gemma3Text", writing: "Gemma3" },
  });

export const gemma3: Family = {
  modelType: "gemma3",
  summary: "The text part of Gemma 3 models that also read images: 4B, 12B and 27B",
  traits: "The blocks of Gemma 3 for text. The vision tower is skipped: images are not read.",
  // The file holds the text part, and is read back as a model for text.
  gguf: GEMMA3_GGUF,
  open: (raw) => withTextCheckpoint(openGemma3(ownConfig(raw)), ownConfig),
};

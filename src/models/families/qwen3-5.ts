/** @file The text part of published Qwen 3.5 models, which also read images; images are not read. */
import type { Family, RawConfig } from "../family.ts";
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { QWEN3_5_GGUF } from "../config/qwen3-5-files.ts";
import { qwen35Text } from "./qwen3-5-text.ts";

/** Default sizes, those of 27B: transformers only writes sizes of the text part that differ from them. */
const DEFAULT_SIZES = {
  vocab_size: 248_320,
  hidden_size: 4096,
  intermediate_size: 12_288,
  num_hidden_layers: 32,
  num_attention_heads: 16,
};

const ownConfig = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULT_SIZES,
    fixed: { model_type: qwen35Text.modelType },
    classes: { telling: "Qwen3_5Text", writing: "Qwen3_5" },
  });

export const qwen35: Family = {
  modelType: "qwen3_5",
  summary: "The text part of Qwen 3.5 and 3.6 without experts: 0.8B to 27B",
  traits: "The blocks of Qwen 3.5 for text. The vision tower is skipped: images are not read.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText" },
  // The file holds the text part, and is read back as a model for text.
  gguf: QWEN3_5_GGUF,
  open: (raw) => withTextCheckpoint(qwen35Text.open(ownConfig(raw)), ownConfig),
};

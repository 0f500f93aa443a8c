/** @file The text part of published Qwen 3.5 models with experts, which also read images; images are not read. */
import type { Family, RawConfig } from "../family.ts";
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { QWEN3_5_MOE_GGUF } from "../config/qwen3-5-files.ts";
import { qwen35MoeText } from "./qwen3-5-moe-text.ts";

/** Default sizes, those of 35B-A3B: transformers only writes sizes of the text part that differ from them. */
const DEFAULT_SIZES = {
  vocab_size: 248_320,
  hidden_size: 2048,
  num_hidden_layers: 40,
  num_attention_heads: 16,
};

const ownConfig = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULT_SIZES,
    fixed: { model_type: qwen35MoeText.modelType },
    classes: { telling: "Qwen3_5MoeText", writing: "Qwen3_5Moe" },
  });

export const qwen35Moe: Family = {
  modelType: "qwen3_5_moe",
  summary: "The text part of Qwen 3.5 and 3.6 with experts: 35B-A3B, 122B-A10B and 397B-A17B",
  traits: "The blocks of Qwen 3.5 for text, with experts. The vision tower is skipped: images are not read.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText", "sequence-classification": null },
  // The file holds the text part, and is read back as a model for text.
  gguf: QWEN3_5_MOE_GGUF,
  open: (raw) => withTextCheckpoint(qwen35MoeText.open(ownConfig(raw)), ownConfig),
};

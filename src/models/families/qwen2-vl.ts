/**
 * @file The text part of Qwen 2 models that also read images; images are not read.
 *
 * Paper: "Qwen2-VL", arXiv:2409.12191, section 2.1.
 */
import type { Family, RawConfig } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { SECTIONS, withoutPlaces, writeSections } from "../config/image-places.ts";
import { QWEN_BESIDE_TEXT, textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { qwen2 } from "./qwen2.ts";

/** Defaults, those of the 72B model: transformers only writes settings of the text part that differ from them. */
const DEFAULTS = {
  vocab_size: 152_064,
  hidden_size: 8192,
  intermediate_size: 29_568,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  max_position_embeddings: 32_768,
  max_window_layers: 80,
  rms_norm_eps: 1e-5,
  rope_theta: 1_000_000,
};

const textPart = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULTS,
    fixed: { model_type: qwen2.modelType },
    classes: { telling: "Qwen2", writing: "Qwen2" },
    beside: QWEN_BESIDE_TEXT,
  });

export const qwen2Vl: Family = {
  modelType: "qwen2_vl",
  summary: "The text part of Qwen2-VL: 2B, 7B and 72B",
  traits: "The blocks of Qwen 2. The vision tower is skipped: images are not read.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText", "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "qwen2vl",
    className: "Qwen2VLForConditionalGeneration",
    settings: SECTIONS,
    fixed: { use_sliding_window: false },
    switches: {},
    complete: ({ sections: _sections, ...config }) => config,
    values: (settings) => writeSections(settings, [16, 24, 24]),
  }),
  open: (raw) => withTextCheckpoint(qwen2.open(textPart(raw)), (config) => withoutPlaces(textPart(config))),
};

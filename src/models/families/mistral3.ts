/** @file The text part of Mistral's models that also read images (Mistral Small 3.1, Ministral 3); images are not read. */
import type { Family, RawConfig } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { MINISTRAL3_GGUF } from "../config/ministral3-config.ts";
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { ministral3 } from "./ministral3.ts";
import { mistral } from "./mistral.ts";

/** Defaults, those of Mistral Small 3.1: transformers only writes settings of the text part that differ from them. */
const DEFAULTS = {
  vocab_size: 131_072,
  hidden_size: 5120,
  intermediate_size: 32_768,
  num_hidden_layers: 40,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  head_dim: 128,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-5,
  rope_theta: 1e9,
  sliding_window: null,
};

const isMinistral = ({ text_config: text }: RawConfig): boolean =>
  (text as { readonly model_type?: unknown } | undefined)?.model_type === ministral3.modelType;

const ownConfig = (raw: RawConfig): RawConfig => {
  const [family, name] = isMinistral(raw) ? [ministral3, "Ministral3"] : [mistral, "Mistral"];
  return textConfig(raw, {
    defaults: isMinistral(raw) ? {} : DEFAULTS,
    fixed: { model_type: family.modelType },
    classes: { telling: name, writing: name },
  });
};

export const mistral3: Family = {
  modelType: "mistral3",
  summary: "The text part of Mistral's models that also read images: Mistral Small 3.1 and 3.2, Ministral 3",
  traits:
    "The blocks of the family that `text_config` names, Mistral or Ministral 3. The vision tower is skipped: images are not read.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText", "sequence-classification": null },
  gguf: decoderGguf(MINISTRAL3_GGUF),
  open: (raw) => {
    const family = isMinistral(raw) ? ministral3 : mistral;
    return withTextCheckpoint(family.open(ownConfig(raw)), ownConfig);
  },
};

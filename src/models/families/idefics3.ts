/**
 * @file The text part of Idefics 3 and the first SmolVLM, Llamas that also read images; images are not read.
 *
 * Papers: "Building and better understanding vision-language models", arXiv:2408.12637; "SmolVLM", arXiv:2504.05299.
 */
import type { Family, RawConfig } from "../family.ts";
import { without } from "../config/raw-config.ts";
import { textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { llama } from "./llama.ts";

/** Default sizes, those of transformers' Llama: files only have sizes of the text part that differ from them. */
const DEFAULT_SIZES = {
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};

/** Settings in `text_config` for reading images and for training, which are ignored. */
const IDLE = [
  "_flash_attn_2_enabled",
  "neftune_noise_alpha",
  "perceiver_config",
  "pixel_shuffle_factor",
  "use_resampler",
];

const ownConfig = (raw: RawConfig): RawConfig => {
  const config = textConfig(raw, {
    defaults: DEFAULT_SIZES,
    fixed: { model_type: llama.modelType },
    classes: { telling: "Llama", writing: "Llama" },
  });
  return without(config, config["qk_layer_norms"] === false ? [...IDLE, "qk_layer_norms"] : IDLE);
};

export const idefics3: Family = {
  modelType: "idefics3",
  summary: "The text part of Idefics 3 (8B) and SmolVLM (256M, 500M and 2.2B)",
  traits:
    "The blocks of Llama. The vision tower is skipped: images are not read. GGUF files are read as Llama's.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText", "sequence-classification": null },
  gguf: llama.gguf,
  open: (raw) => withTextCheckpoint(llama.open(ownConfig(raw)), ownConfig, "text_model"),
};

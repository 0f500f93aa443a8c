/** @file Gemma 3 models that also read images (4B and larger): their text part; images are not read. */
import type { Family, RawConfig } from "../family.ts";
import { GEMMA3_GGUF, gemma3Text, openGemma3 } from "./gemma3-text.ts";
import { unusable } from "../config/hf-config.ts";
import { isClassifier } from "../config/classifier-config.ts";

/** The sizes of the smallest, which files leave out: transformers writes how the text part differs from them. */
const DEFAULT_SIZES = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
};

/** Settings beside `text_config` that say something of the text part. */
const SHARED_KEYS =
  `dtype torch_dtype eos_token_id bos_token_id pad_token_id id2label label2id num_labels problem_type
  transformers_version`.split(/\s+/);

/** The configuration of the text part, as that of a model for text. @throws UsageError "usage/model" when there is none */
function textConfig(raw: RawConfig): RawConfig {
  const text = raw["text_config"];
  if (typeof text !== "object" || text === null) throw unusable(raw, "text_config is missing");
  const shared = Object.entries(raw).filter(([key]) => SHARED_KEYS.includes(key));
  return {
    ...(raw["tie_word_embeddings"] !== undefined && { tie_word_embeddings: raw["tie_word_embeddings"] }),
    ...DEFAULT_SIZES,
    ...text,
    ...Object.fromEntries(shared),
    // Of the model for text alone.
    final_logit_softcapping: null,
    model_type: gemma3Text.modelType,
    architectures: [isClassifier(raw) ? "Gemma3TextForSequenceClassification" : "Gemma3ForCausalLM"],
  };
}

export const gemma3: Family = {
  modelType: "gemma3",
  summary: "Gemma 3 that reads images too, its text part: 4B, 12B and 27B",
  traits:
    "The blocks of the Gemma 3 that reads text alone. The vision tower is skipped: images are not read.",
  // Its text part, which is read back as a model for text.
  gguf: GEMMA3_GGUF,
  open: (raw) => {
    const definition = openGemma3(textConfig(raw));
    return {
      ...definition,
      checkpoint: {
        rename: (name) =>
          name
            .replace(/^(model\.)?language_model\.(model\.)?/, "model.")
            .replace(/^model\.lm_head/, "lm_head"),
        ownConfig: textConfig,
        peftPath: (path) => path.replace(/^model\./, "model.language_model."),
        ignored: /vision_tower|multi_modal_projector/,
      },
    };
  },
};

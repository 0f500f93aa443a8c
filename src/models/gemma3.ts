/** @file Gemma 3 models that also read images (4B and larger): their text part; images are not read. */
import type { Family } from "./family.ts";
import { GEMMA3_GGUF, openGemma3 } from "./gemma3-text.ts";
import { unusable } from "./hf-config.ts";

/** The sizes of the smallest, which files leave out: transformers writes how the text part differs from them. */
const DEFAULT_SIZES = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
};

export const gemma3: Family = {
  modelType: "gemma3",
  summary: "Gemma 3 that reads images too, its text part: 4B, 12B and 27B",
  traits:
    "The blocks of the Gemma 3 that reads text alone. The vision tower is skipped: images are not read.",
  // Its text part, which is read back as a model for text.
  gguf: GEMMA3_GGUF,
  open: (raw) => {
    const text = raw["text_config"];
    if (typeof text !== "object" || text === null) throw unusable(raw, "text_config is missing");
    const definition = openGemma3({
      tie_word_embeddings: raw["tie_word_embeddings"],
      ...DEFAULT_SIZES,
      ...text,
      architectures: raw["architectures"],
      id2label: raw["id2label"],
    });
    return {
      ...definition,
      checkpoint: {
        rename: (name) =>
          name
            .replace(/^(model\.)?language_model\.(model\.)?/, "model.")
            .replace(/^model\.lm_head/, "lm_head"),
        peftPath: (path) => path.replace(/^model\./, "model.language_model."),
        ignored: /vision_tower|multi_modal_projector/,
      },
    };
  },
};

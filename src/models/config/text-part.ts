/** @file Models that also read images: the part of them that reads text, as a model of its own; images are not read. */
import type { ModelDefinition, RawConfig } from "../family.ts";
import { type CheckpointRules, withoutTensors } from "./checkpoint-rules.ts";
import { isClassifier } from "./classifier-config.ts";
import { unusable } from "./hf-config.ts";

/** Settings beside `text_config` that say something of the text part. */
const SHARED_KEYS =
  `dtype torch_dtype eos_token_id bos_token_id pad_token_id id2label label2id num_labels problem_type
  transformers_version`.split(/\s+/);

/** What is known of a text part besides its `text_config`. */
interface TextPart {
  /** Settings where the file has none. */
  readonly defaults: RawConfig;
  /** Settings that the text part has in any case. */
  readonly fixed: RawConfig;
  /** What its classes in transformers begin with, where they tell classes and where they write. */
  readonly classes: { readonly telling: string; readonly writing: string };
}

/** The configuration of the text part, as that of a model for text. @throws UsageError "usage/model" when there is none */
export function textConfig(raw: RawConfig, { defaults, fixed, classes }: TextPart): RawConfig {
  const text = raw["text_config"];
  if (typeof text !== "object" || text === null) throw unusable(raw, "text_config is missing");
  const shared = Object.entries(raw).filter(([key]) => SHARED_KEYS.includes(key));
  const { telling, writing } = classes;
  return {
    ...(raw["tie_word_embeddings"] !== undefined && { tie_word_embeddings: raw["tie_word_embeddings"] }),
    ...defaults,
    ...text,
    ...Object.fromEntries(shared),
    ...fixed,
    architectures: [isClassifier(raw) ? `${telling}ForSequenceClassification` : `${writing}ForCausalLM`],
  };
}

/** A text part with its names in files; `ownConfig` makes the configuration that it has by itself. */
export function withTextCheckpoint(
  definition: ModelDefinition,
  ownConfig: CheckpointRules["ownConfig"],
): ModelDefinition {
  const rules: CheckpointRules = {
    ...definition.checkpoint,
    rename: (name) =>
      name.replace(/^(model\.)?language_model\.(model\.)?/, "model.").replace(/^model\.lm_head/, "lm_head"),
    ownConfig,
    peftPath: (path) => path.replace(/^model\./, "model.language_model."),
    ignored:
      /(vision|audio)_tower|multi_modal_projector|embed_(vision|audio)|vision_embedder|(^|\.)visual\.|^mtp\./,
  };
  const writes = definition.classPosition === null;
  return { ...definition, checkpoint: writes ? rules : withoutTensors(rules, /(^|\.)lm_head\./) };
}

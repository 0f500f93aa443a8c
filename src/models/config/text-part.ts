/** @file Uses the text part of models that also read images as a model of its own; images are not supported. */
import type { ModelDefinition } from "../family.ts";
import { type CheckpointRules, withoutTensors } from "./checkpoint-rules.ts";
import { isClassifier } from "./classifier-config.ts";
import { unusable } from "./hf-config.ts";
import { type RawConfig, without } from "./raw-config.ts";

/** Settings beside `text_config` that concern the text part. */
const SHARED_KEYS =
  `dtype torch_dtype eos_token_id bos_token_id pad_token_id id2label label2id num_labels problem_type
  transformers_version`.split(/\s+/);

/** Keys that Qwen's files without `text_config` have beside the settings of the text part. */
export const QWEN_BESIDE_TEXT = `vision_config vision_start_token_id vision_end_token_id vision_token_id
  video_token_id`.split(/\s+/);

/** Facts about a text part that its `text_config` does not state. */
interface TextPart {
  /** Settings for files that lack them. */
  readonly defaults: RawConfig;
  /** Settings that the text part always has. */
  readonly fixed: RawConfig;
  /** Prefixes of its class names in transformers, for classifying and for text generation. */
  readonly classes: { readonly telling: string; readonly writing: string };
  /** Other keys in files without `text_config`, which have the text part's settings at top level; absent: there are no such files. */
  readonly beside?: readonly string[];
}

/** Returns the configuration of the text part as a text model. @throws UsageError "usage/model" when there is none */
export function textConfig(raw: RawConfig, { defaults, fixed, classes, beside = [] }: TextPart): RawConfig {
  const text = raw["text_config"] ?? (beside.length > 0 ? raw : null);
  if (typeof text !== "object" || text === null) throw unusable(raw, "text_config is missing");
  const shared = Object.entries(raw).filter(([key]) => SHARED_KEYS.includes(key));
  const { telling, writing } = classes;
  return {
    ...(raw["tie_word_embeddings"] !== undefined && { tie_word_embeddings: raw["tie_word_embeddings"] }),
    ...defaults,
    // `text_config` may still contain such keys if its settings were once at top level.
    ...without(text as RawConfig, beside),
    // Either place counts: transformers 4 reads the text part, transformers 5 the whole.
    ...(raw["tie_word_embeddings"] === true && { tie_word_embeddings: true }),
    ...Object.fromEntries(shared),
    ...fixed,
    architectures: [isClassifier(raw) ? `${telling}ForSequenceClassification` : `${writing}ForCausalLM`],
  };
}

/** Tensors for images and sound, and for predicting further tokens. */
const NOT_TEXT =
  /(vision|audio)_tower|multi_modal_projector|embed_(vision|audio)|vision_embedder|(^|\.)visual\.|^model\.(vision_model|connector)\.|^mtp\./;

/**
 * Adds the rules for a text part's names in files; `ownConfig` makes its configuration as a separate model, `module` is its name
 * in classes.
 */
export function withTextCheckpoint(
  definition: ModelDefinition,
  ownConfig: CheckpointRules["ownConfig"],
  module: "language_model" | "text_model" = "language_model",
): ModelDefinition {
  const plain = withoutTensors(definition.checkpoint, NOT_TEXT);
  const rules: CheckpointRules = {
    ...plain,
    untiedConfig: ({ text_config: text, ...beside }) => ({
      ...plain.untiedConfig(beside),
      ...(text !== undefined && { text_config: plain.untiedConfig(text as RawConfig) }),
    }),
    rename: (name) =>
      name
        .replace(/^(model\.)?(language_model|text_model)\.(model\.)?/, "model.")
        .replace(/^model\.lm_head/, "lm_head"),
    ownConfig,
    peftPath: (path) => path.replace(/^model\./, `model.${module}.`),
  };
  const writes = definition.classPosition === null;
  return { ...definition, checkpoint: writes ? rules : withoutTensors(rules, /(^|\.)lm_head\./) };
}

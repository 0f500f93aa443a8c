/** @file Models that also read images: the part of them that reads text, as a model of its own; images are not read. */
import type { ModelDefinition } from "../family.ts";
import { type CheckpointRules, withoutTensors } from "./checkpoint-rules.ts";
import { isClassifier } from "./classifier-config.ts";
import { unusable } from "./hf-config.ts";
import { type RawConfig, without } from "./raw-config.ts";

/** Settings beside `text_config` that say something of the text part. */
const SHARED_KEYS =
  `dtype torch_dtype eos_token_id bos_token_id pad_token_id id2label label2id num_labels problem_type
  transformers_version`.split(/\s+/);

/** What Qwen's files without `text_config` have beside the settings of the text part. */
export const QWEN_BESIDE_TEXT = `vision_config vision_start_token_id vision_end_token_id vision_token_id
  video_token_id`.split(/\s+/);

/** What is known of a text part besides its `text_config`. */
interface TextPart {
  /** Settings where the file has none. */
  readonly defaults: RawConfig;
  /** Settings that the text part has in any case. */
  readonly fixed: RawConfig;
  /** What its classes in transformers begin with, where they tell classes and where they write. */
  readonly classes: { readonly telling: string; readonly writing: string };
  /** What lies beside its settings in files without `text_config`, which have them in the open; absent: there are no such files. */
  readonly beside?: readonly string[];
}

/** The configuration of the text part, as that of a model for text. @throws UsageError "usage/model" when there is none */
export function textConfig(raw: RawConfig, { defaults, fixed, classes, beside = [] }: TextPart): RawConfig {
  const text = raw["text_config"] ?? (beside.length > 0 ? raw : null);
  if (typeof text !== "object" || text === null) throw unusable(raw, "text_config is missing");
  const shared = Object.entries(raw).filter(([key]) => SHARED_KEYS.includes(key));
  const { telling, writing } = classes;
  return {
    ...(raw["tie_word_embeddings"] !== undefined && { tie_word_embeddings: raw["tie_word_embeddings"] }),
    ...defaults,
    // Files that once had its settings in the open may have taken some of what lay beside them along.
    ...without(text as RawConfig, beside),
    // Either may say it: transformers 4 looked at the text part, transformers 5 looks at the whole.
    ...(raw["tie_word_embeddings"] === true && { tie_word_embeddings: true }),
    ...Object.fromEntries(shared),
    ...fixed,
    architectures: [isClassifier(raw) ? `${telling}ForSequenceClassification` : `${writing}ForCausalLM`],
  };
}

/** What reads images and sound, and predicts further tokens. */
const NOT_TEXT =
  /(vision|audio)_tower|multi_modal_projector|embed_(vision|audio)|vision_embedder|(^|\.)visual\.|^model\.(vision_model|connector)\.|^mtp\./;

/** A text part with its names in files; `ownConfig` makes the configuration that it has by itself, `module` is what classes call it. */
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

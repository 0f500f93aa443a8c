/**
 * @file Reading Hugging Face configuration files, of transformers 4 and 5.
 *
 * A key is known to the family, or known to change no number here (`NEUTRAL`), or null; any other is an error that lists
 * it, for a setting that nobody looks at may be one that changes what the model computes.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { MAX_HEAD_WIDTH } from "../../untrusted/limits.ts";
import { showValue } from "../../messages/expected.ts";
import { findProblems, listProblems } from "../../messages/problems.ts";
import type { RawConfig } from "./raw-config.ts";

/** Bookkeeping, settings of training and generation, special tokens: of no effect on logits. */
const NEUTRAL = new Set(
  `architectures model_type transformers_version torch_dtype dtype _name_or_path auto_map transformers.js_config
  use_cache cache_implementation return_dict output_attentions output_hidden_states output_router_logits
  bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id
  image_token_id boi_token_id eoi_token_id begin_suppress_tokens suppress_tokens forced_bos_token_id forced_eos_token_id
  initializer_range initializer_factor init_std _attn_implementation attn_implementation _attn_implementation_autoset
  attention_dropout attn_pdrop embd_pdrop resid_pdrop hidden_dropout hidden_dropout_prob attention_probs_dropout_prob dropout
  is_decoder classifier_dropout classifier_dropout_prob summary_first_dropout summary_type summary_use_proj summary_activation
  summary_proj_to_labels reorder_and_upcast_attn router_aux_loss_coef router_jitter_noise
  id2label label2id num_labels problem_type finetuning_task task_specific_params gradient_checkpointing
  is_llama_config chunk_size_feed_forward prefix tokenizer_class max_length min_length do_sample temperature top_k top_p
  typical_p repetition_penalty length_penalty no_repeat_ngram_size num_beams num_return_sequences early_stopping
  unsloth_version unsloth_fixed _commit_hash _model_name_or_path bad_words_ids encoder_no_repeat_ngram_size diversity_penalty
  exponential_decay_length_penalty num_beam_groups remove_invalid_values return_dict_in_generate output_scores
  tie_encoder_decoder torchscript use_bfloat16 tf_legacy_loss pruned_heads n_ctx vocab_file language
  _sliding_window_pattern sliding_window_size max_sequence_length pretraining_tp _num_labels n_special output_past
  predict_special_tokens directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
  pooler_size_per_head pooler_type sentence_transformers sbert_ce_default_activation_function seq_length
  rotary_emb_base custom_pipelines
  embedding_dropout mlp_dropout deterministic_flash_attn initializer_cutoff_factor reference_compile repad_logits_with_grad
  sparse_prediction sparse_pred_ignore_index decoder_bias
  activation_dropout layerdrop qa_dropout seq_classif_dropout sinusoidal_pos_embds tie_weights_`.split(/\s+/),
);

/**
 * Parses a configuration, whose keys must be those of the schema or neutral; `keys`: what files call those that the schema
 * calls as most families do.
 * @throws UsageError "usage/model" that lists every problem.
 */
export function parseConfig<S extends z.ZodObject>(
  schema: S,
  raw: RawConfig,
  keys: Readonly<Record<string, string>> = {},
): z.output<S> {
  const here = new Map(Object.entries(keys).map(([key, inFile]) => [inFile, key]));
  const config = Object.fromEntries(Object.entries(raw).map(([key, value]) => [here.get(key) ?? key, value]));
  const nameOf = ([key = "", ...inner]: readonly string[]): string =>
    [key in raw ? key : (keys[key] ?? key), ...inner].join(".");
  const problems = [...listProblems(findProblems(schema, config), nameOf)];
  const unknown = Object.entries(config).filter(
    ([key, value]) => !(key in schema.shape) && !NEUTRAL.has(key) && value !== null,
  );
  problems.push(...unknown.map(([key, value]) => `${key} is ${showValue(value)} (unknown setting)`));
  if (problems.length === 0) return schema.parse(config);
  throw unusable(raw, problems.join("; "));
}

/** The error for a configuration with values that are not implemented. */
export function unusable(
  raw: RawConfig,
  found: string,
  hint = "Check config.json; only what the message says is missing from graft.",
): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot use the configuration of this "${String(raw["model_type"])}" model: ${found}`,
    { hint },
  );
}

const count = z.int().positive();

/** Sizes that all models of text have. */
export const SIZE_FIELDS = {
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
};

/** What early models call these settings in config.json. */
export const EARLY_KEYS = {
  hidden_size: "n_embd",
  num_hidden_layers: "n_layer",
  num_attention_heads: "n_head",
  max_position_embeddings: "n_positions",
  intermediate_size: "n_inner",
  hidden_act: "activation_function",
};

/** A check for `refine`: the number of heads must divide the width. */
export const HEADS_DIVIDE_WIDTH: [
  (c: { readonly hidden_size: number; readonly num_attention_heads: number }) => boolean,
  { path: string[]; message: string },
] = [
  (c) => c.hidden_size % c.num_attention_heads === 0,
  { path: ["num_attention_heads"], message: "expected a divisor of the width" },
];

/** What decoders have in common, with the rotary settings that `readRope` reads. */
export const DECODER_FIELDS = {
  ...SIZE_FIELDS,
  intermediate_size: count,
  hidden_act: z.literal("silu").default("silu"),
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  max_position_embeddings: count.default(2048),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  rope_interleaved: z.literal(false).default(false),
};

/** Which projections have biases, in blocks like Llama's. */
export const BIAS_FIELDS = {
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
};

/** `DECODER_FIELDS` as they are read, of any activation, with those of `BIAS_FIELDS` that a family has. */
export type DecoderFields = Omit<z.output<z.ZodObject<typeof DECODER_FIELDS>>, "hidden_act"> &
  Partial<z.output<z.ZodObject<typeof BIAS_FIELDS>>>;

/** Sizes of the heads. @throws UsageError "usage/model" for heads that cannot be shared or rotated */
export function headSizes(
  raw: RawConfig,
  c: DecoderFields,
): { readonly numHeads: number; readonly numKeyValueHeads: number; readonly headWidth: number } {
  const numHeads = c.num_attention_heads;
  const numKeyValueHeads = c.num_key_value_heads ?? numHeads;
  const headWidth = c.head_dim ?? c.hidden_size / numHeads;
  if (numHeads % numKeyValueHeads !== 0) {
    throw unusable(
      raw,
      `num_key_value_heads is ${numKeyValueHeads} (expected a divisor of num_attention_heads)`,
    );
  }
  if (headWidth > MAX_HEAD_WIDTH) {
    throw unusable(raw, `hidden_size is ${c.hidden_size} (expected heads of at most ${MAX_HEAD_WIDTH})`);
  }
  if (headWidth % 2 !== 0) {
    const found =
      c.head_dim == null
        ? `hidden_size is ${c.hidden_size} for num_attention_heads ${numHeads}`
        : `head_dim is ${headWidth}`;
    throw unusable(raw, `${found} (expected an even width of each head, for its rotation)`);
  }
  return { numHeads, numKeyValueHeads, headWidth };
}

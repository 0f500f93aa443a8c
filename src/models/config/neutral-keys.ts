/** @file Keys of configuration files that change no number in graft, in any family. */

/** Bookkeeping, settings of training and generation, special tokens: without effect on logits. */
const NEUTRAL_KEYS: ReadonlySet<string> = new Set(
  `architectures model_type transformers_version torch_dtype dtype _name_or_path auto_map transformers.js_config
  use_cache cache_implementation return_dict output_attentions output_hidden_states output_router_logits
  bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id
  bos_token eos_token pad_token mask_token
  image_token_id boi_token_id eoi_token_id begin_suppress_tokens suppress_tokens forced_bos_token_id forced_eos_token_id
  initializer_range initializer_factor init_std _attn_implementation attn_implementation _attn_implementation_autoset
  attention_dropout attn_pdrop embd_pdrop resid_pdrop embed_dropout resid_dropout hidden_dropout hidden_dropout_prob attention_probs_dropout_prob dropout
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
 * Keys that change no number when false. transformers 4 writes the first two into every complete file; the others belong to some
 * families, and the rest ignore them.
 */
const NEUTRAL_WHERE_FALSE: ReadonlySet<string> = new Set(
  "is_encoder_decoder add_cross_attention use_mrope attention_bias mlp_bias use_sliding_window".split(" "),
);

/** Whether a key that a family does not know has no effect with this value. */
export function isNeutral(key: string, value: unknown): boolean {
  return value === null || NEUTRAL_KEYS.has(key) || (value === false && NEUTRAL_WHERE_FALSE.has(key));
}

"""Random tiny models of further families, with the numbers of transformers: loss, logits, every gradient, greedy ids.

    Python 3.11.7, torch 2.13.0+cpu, transformers 5.24.0, safetensors 0.8.0
    python -B make.py OUT [NAME...]      # writes OUT/NAME; one thread, CPU, float32, eager attention, eval mode, seed 2026
"""
import json
import re
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

SIZES = {"vocab_size": 112, "hidden_size": 40, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
DECODER = SIZES | {"num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ROTATED = {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}
PARTLY_ROTATED = {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.6}}
SMALL = DECODER | {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48}
NARROW = {key: value for key, value in SMALL.items() if key != "intermediate_size"}
YARN = {"rope_type": "yarn", "rope_theta": 5000.0, "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 4.0, "beta_slow": 1.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
GROWING = YARN | {"factor": 16.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.4, "original_max_position_embeddings": 4}
SECTIONS = {"rope_type": "default", "rope_theta": 5000.0, "mrope_section": [1, 1, 1]}
QWEN3_5 = {"layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 4, "rms_norm_eps": 1e-2}
QWEN3_5_MOE = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 20}
STRETCHED = {"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0}
HALF_TURNING = {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 500.0}
LATENT = {"num_key_value_heads": 4, "kv_lora_rank": 10, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "num_hidden_layers": 2}
EXPERTS = {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_shared_experts": 1, "routed_scaling_factor": 1.5}
DEEP_YARN = YARN | {"mscale": 0.707, "mscale_all_dim": 0.707}
ENCODER = SIZES | {"vocab_size": 96, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 4}
TINY = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_ENCODER = TINY | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 1}
EYES = {"depth": 1, "hidden_size": 4, "intermediate_size": 4, "patch_size": 2}
SEER = {"num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 4} | {key: EYES[key] for key in ("hidden_size", "intermediate_size", "patch_size")}
READER = TINY | {"num_hidden_layers": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MODERNBERT = (
    SIZES
    | {"vocab_size": 96, "num_labels": 4, "num_hidden_layers": 3, "global_attn_every_n_layers": 2, "local_attention": 4}
    | {"max_position_embeddings": 64, "pad_token_id": 1, "bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2}
)
EUROBERT = (
    TINY
    | {"num_hidden_layers": 2, "max_position_embeddings": 64, "num_labels": 4}
    | {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "mask_token_id": 3}
)
MODELS = {
    "gemma": (transformers.GemmaForCausalLM, DECODER | ROTATED | {"head_dim": 12}),
    "gpt_neox": (
        transformers.GPTNeoXForCausalLM,
        SIZES
        | {"max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.4}},
    ),
    "lfm2": (
        transformers.Lfm2ForCausalLM,
        SMALL
        | ROTATED
        | {"layer_types": ["conv", "full_attention"], "norm_eps": 1e-3}
        | {"intermediate_size": 70, "block_multiple_of": 24, "block_ffn_dim_multiplier": 1.1},
    ),
    "qwen3_5_text": (
        transformers.Qwen3_5ForCausalLM,
        SMALL
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}, "head_dim": 8}
        | {"layer_types": ["linear_attention", "full_attention"], "linear_conv_kernel_dim": 4, "rms_norm_eps": 1e-3}
        | {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 6, "linear_value_head_dim": 8},
    ),
    "qwen3_5_text-even": (
        transformers.Qwen3_5ForCausalLM,
        TINY
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}, "head_dim": 8, "vocab_size": 48}
        | {"num_key_value_heads": 1, "num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"], "rms_norm_eps": 1e-3}
        | {"max_position_embeddings": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8}
        | {"linear_value_head_dim": 8, "linear_conv_kernel_dim": 3},
    ),
    "qwen3_5_moe_text": (
        transformers.Qwen3_5MoeForCausalLM,
        NARROW
        | QWEN3_5
        | QWEN3_5_MOE
        | {"rope_parameters": SECTIONS | {"partial_rotary_factor": 0.5}, "head_dim": 12}
        | {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 3},
    ),
    "qwen3_5_moe": (
        transformers.Qwen3_5MoeForConditionalGeneration,
        {"vision_config": EYES | {"num_heads": 1, "num_position_embeddings": 4, "out_hidden_size": 16}, "tie_word_embeddings": True}
        | {
            "text_config": TINY
            | QWEN3_5
            | QWEN3_5_MOE
            | {"rope_parameters": SECTIONS | {"partial_rotary_factor": 0.5}, "head_dim": 12, "tie_word_embeddings": True}
            | {"num_key_value_heads": 1, "num_hidden_layers": 2, "max_position_embeddings": 64}
            | {"linear_key_head_dim": 4, "linear_value_head_dim": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
        },
    ),
    "qwen2_vl": (
        transformers.Qwen2VLForConditionalGeneration,
        {"vision_config": {"depth": 1, "embed_dim": 4, "hidden_size": 16, "num_heads": 1, "mlp_ratio": 1, "patch_size": 2}}
        | {"tie_word_embeddings": True, "text_config": READER | {"rope_parameters": SECTIONS | {"mrope_section": [1, 1, 2]}}},
    ),
    "qwen2_5_vl": (
        transformers.Qwen2_5_VLForConditionalGeneration,
        {"vision_config": EYES | {"num_heads": 1, "out_hidden_size": 16}}
        | {"text_config": READER | {"rope_parameters": SECTIONS | {"mrope_section": [1, 1, 2]}, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}},
    ),
    "qwen3_vl": (
        transformers.Qwen3VLForConditionalGeneration,
        {"vision_config": EYES | {"num_heads": 1, "num_position_embeddings": 4, "out_hidden_size": 16, "deepstack_visual_indexes": [0]}}
        | {"tie_word_embeddings": True, "text_config": READER | {"rope_parameters": SECTIONS | {"mrope_section": [2, 2, 2], "mrope_interleaved": True}, "head_dim": 12}},
    ),
    "idefics3": (
        transformers.Idefics3ForConditionalGeneration,
        {"vision_config": SEER, "text_config": READER | ROTATED | {"model_type": "llama"}},
    ),
    "smolvlm": (
        transformers.SmolVLMForConditionalGeneration,
        {"vision_config": SEER, "text_config": READER | ROTATED | {"model_type": "llama", "head_dim": 12}},
    ),
    "lfm2-biases": (
        transformers.Lfm2ForCausalLM,
        TINY
        | ROTATED
        | {"num_key_value_heads": 1, "num_hidden_layers": 2, "layer_types": ["full_attention", "conv"], "max_position_embeddings": 64}
        | {"conv_bias": True, "conv_L_cache": 4, "vocab_size": 48, "block_auto_adjust_ff_dim": False, "tie_word_embeddings": False},
    ),
    "opt": (
        transformers.OPTForCausalLM,
        {"vocab_size": 112, "hidden_size": 40, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        | {"max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "dropout": 0.0},
    ),
    "granite": (
        transformers.GraniteForCausalLM,
        DECODER
        | ROTATED
        | {"head_dim": 10, "embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "gpt_neo": (
        transformers.GPTNeoForCausalLM,
        {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 64}
        | {"attention_types": [[["global", "local"], 1]], "window_size": 4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
    ),
    "granitemoe": (
        transformers.GraniteMoeForCausalLM,
        SMALL
        | ROTATED
        | {"intermediate_size": 20, "num_local_experts": 5, "num_experts_per_tok": 2, "tie_word_embeddings": True}
        | {"embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "granitemoehybrid-experts": (
        transformers.GraniteMoeHybridForCausalLM,
        SMALL
        | {"layer_types": ["mamba", "attention"], "num_local_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 12}
        | {"shared_intermediate_size": 20, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 6, "tie_word_embeddings": True}
        | {"embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "granitemoehybrid": (
        transformers.GraniteMoeHybridForCausalLM,
        SMALL
        | ROTATED
        | {"layer_types": ["attention"] * 2, "num_local_experts": 0, "num_experts_per_tok": 0, "position_embedding_type": "rope"}
        | {"shared_intermediate_size": 40, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "tie_word_embeddings": True}
        | {"embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "granitemoehybrid-h": (
        transformers.GraniteMoeHybridForCausalLM,
        SMALL
        | {"layer_types": ["mamba", "attention"], "num_local_experts": 0, "num_experts_per_tok": 0, "rms_norm_eps": 1e-3}
        | {"shared_intermediate_size": 40, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 6, "mamba_proj_bias": True}
        | {"embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "lfm2_moe": (
        transformers.Lfm2MoeForCausalLM,
        SMALL
        | ROTATED
        | {"layer_types": ["conv", "conv", "full_attention"], "num_hidden_layers": 3, "num_dense_layers": 1, "num_experts": 5, "num_experts_per_tok": 2}
        | {"moe_intermediate_size": 24, "norm_eps": 1e-5, "tie_word_embeddings": True},
    ),
    "gemma4_text": (
        transformers.Gemma4ForCausalLM,
        SMALL
        | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4, "hidden_size_per_layer_input": 0, "head_dim": 8}
        | {"global_head_dim": 12, "num_global_key_value_heads": 1, "attention_k_eq_v": True, "final_logit_softcapping": 3.0}
        | {"rope_parameters": {"full_attention": HALF_TURNING, "sliding_attention": ROTATED["rope_parameters"]}},
    ),
    # With embeddings of each layer, and layers that read keys of others.
    "gemma4_text-linked": (
        transformers.Gemma4ForCausalLM,
        SMALL
        | {"layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention", "full_attention"], "num_hidden_layers": 5}
        | {"num_kv_shared_layers": 3, "use_double_wide_mlp": True, "sliding_window": 4, "head_dim": 8, "global_head_dim": 12, "intermediate_size": 20}
        | {"hidden_size_per_layer_input": 6, "vocab_size_per_layer_input": 96, "final_logit_softcapping": 3.0}
        | {"rope_parameters": {"full_attention": HALF_TURNING, "sliding_attention": ROTATED["rope_parameters"]}},
    ),
    "gemma4_text-experts": (
        transformers.Gemma4ForCausalLM,
        SMALL
        | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4, "hidden_size_per_layer_input": 0, "head_dim": 8}
        | {"global_head_dim": 12, "num_global_key_value_heads": 1, "attention_k_eq_v": True, "final_logit_softcapping": 3.0}
        | {"enable_moe_block": True, "num_experts": 5, "top_k_experts": 2, "moe_intermediate_size": 20, "intermediate_size": 24}
        | {"rope_parameters": {"full_attention": HALF_TURNING, "sliding_attention": ROTATED["rope_parameters"]}},
    ),
    "gpt_oss": (
        transformers.GptOssForCausalLM,
        SMALL
        | {"head_dim": 16, "num_local_experts": 3, "num_experts_per_tok": 2, "intermediate_size": 32}
        | {"sliding_window": 4, "rope_parameters": YARN | {"truncate": False}, "swiglu_limit": 0.2},
    ),
    # As GGUF files can say it: without biases of projections.
    "granitemoehybrid-files": (
        transformers.GraniteMoeHybridForCausalLM,
        SMALL
        | {"layer_types": ["mamba", "attention"], "num_local_experts": 0, "num_experts_per_tok": 0}
        | {"shared_intermediate_size": 40, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 6, "tie_word_embeddings": True}
        | {"embedding_multiplier": 5.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4, "logits_scaling": 3.0},
    ),
    "falcon_h1": (
        transformers.FalconH1ForCausalLM,
        SMALL
        | ROTATED
        | {"head_dim": 12, "mamba_d_ssm": 24, "mamba_n_heads": 3, "mamba_d_head": 8, "mamba_d_state": 6, "mamba_chunk_size": 8}
        | {"embedding_multiplier": 5.0, "lm_head_multiplier": 2.5, "key_multiplier": 0.4, "mlp_multipliers": [0.9, 0.6]}
        | {"attention_in_multiplier": 1.25, "attention_out_multiplier": 0.9, "ssm_in_multiplier": 1.2, "ssm_out_multiplier": 0.75}
        | {"ssm_multipliers": [0.75, 0.5, 0.8, 1.5, 0.6]},
    ),
    "falcon_h1-groups": (
        transformers.FalconH1ForCausalLM,
        TINY
        | ROTATED
        | {"num_key_value_heads": 1, "max_position_embeddings": 64, "vocab_size": 48, "tie_word_embeddings": True, "rms_norm_eps": 1e-3}
        | {"mamba_d_ssm": None, "mamba_n_heads": 4, "mamba_n_groups": 2, "mamba_d_state": 4, "mamba_d_conv": 3, "mamba_rms_norm": True}
        | {"mamba_norm_before_gate": True, "projectors_bias": True, "attention_bias": True, "mlp_bias": True, "mamba_conv_bias": False}
        | {"ssm_out_multiplier": 0.5, "embedding_multiplier": 3.0},
    ),
    # As GGUF files can say it: its factors are in its tensors.
    "falcon_h1-files": (
        transformers.FalconH1ForCausalLM,
        SMALL
        | ROTATED
        | {"head_dim": 12, "mamba_d_ssm": 24, "mamba_n_heads": 4, "mamba_d_head": 6, "mamba_d_state": 6, "mamba_n_groups": 2, "mlp_bias": True}
        | {"mamba_rms_norm": True, "mamba_norm_before_gate": False, "rms_norm_eps": 1e-3},
    ),
    "deepseek_v2": (
        transformers.DeepseekV2ForCausalLM,
        SMALL
        | LATENT
        | EXPERTS
        | {"rope_parameters": DEEP_YARN, "q_lora_rank": None, "first_k_dense_replace": 1, "n_shared_experts": 2, "num_experts_per_tok": 3},
    ),
    "deepseek_v2-groups": (
        transformers.DeepseekV2ForCausalLM,
        SMALL
        | LATENT
        | EXPERTS
        | ROTATED
        | {"num_hidden_layers": 1, "q_lora_rank": 14, "attention_bias": True, "mlp_bias": True, "v_head_dim": 14}
        | {"topk_method": "group_limited_greedy", "n_group": 3, "topk_group": 2},
    ),
    "deepseek_v3": (
        transformers.DeepseekV3ForCausalLM,
        SMALL
        | LATENT
        | EXPERTS
        | {"rope_parameters": DEEP_YARN | {"mscale": 1.0}, "q_lora_rank": 14, "first_k_dense_replace": 1}
        | {"n_routed_experts": 8, "n_group": 4, "topk_group": 2, "num_experts_per_tok": 3},
    ),
    "glm4_moe_lite": (
        transformers.Glm4MoeLiteForCausalLM,
        SMALL | LATENT | EXPERTS | ROTATED | {"q_lora_rank": 14, "v_head_dim": 12, "rope_interleave": True},
    ),
    "ernie4_5": (transformers.Ernie4_5ForCausalLM, SMALL | ROTATED | {"head_dim": 12, "use_bias": True, "tie_word_embeddings": True}),
    "exaone": (transformers.LlamaForCausalLM, SMALL | {"rope_parameters": LLAMA3 | {"rope_theta": 10000.0}}),
    "ernie4_5_moe": (
        transformers.Ernie4_5_MoeForCausalLM,
        SMALL
        | ROTATED
        | {"num_hidden_layers": 2, "moe_intermediate_size": 12, "moe_num_experts": 5, "moe_k": 2, "moe_num_shared_experts": 2}
        | {"tie_word_embeddings": True},
    ),
    "ernie4_5_moe-biases": (
        transformers.Ernie4_5_MoeForCausalLM,
        TINY
        | ROTATED
        | {"num_key_value_heads": 1, "num_hidden_layers": 4, "max_position_embeddings": 64, "use_bias": True, "tie_word_embeddings": False}
        | {"moe_intermediate_size": 8, "moe_num_experts": 3, "moe_k": 2, "moe_num_shared_experts": 1, "moe_norm_min": 0.9}
        | {"moe_layer_start_index": 0, "moe_layer_end_index": 2, "moe_layer_interval": 2},
    ),
    "exaone4": (
        transformers.Exaone4ForCausalLM,
        SMALL | ROTATED | {"head_dim": 12, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "glm": (
        transformers.GlmForCausalLM,
        SMALL | {"head_dim": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}},
    ),
    "glm4": (
        transformers.Glm4ForCausalLM,
        SMALL | {"head_dim": 12, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}},
    ),
    "hunyuan_v1_dense": (
        transformers.HunYuanDenseV1ForCausalLM,
        SMALL | {"head_dim": 8, "rope_parameters": STRETCHED | {"rope_theta": 500.0}},
    ),
    "arcee": (transformers.ArceeForCausalLM, SMALL | ROTATED),
    "nanochat": (
        transformers.NanoChatForCausalLM,
        SMALL | ROTATED | {"num_key_value_heads": 2, "rms_norm_eps": 1e-3, "final_logit_softcapping": 2.5},
    ),
    "modernbert-decoder": (
        transformers.ModernBertDecoderForCausalLM,
        {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 3}
        | {"layer_types": ["full_attention", "sliding_attention", "full_attention"], "local_attention": 8, "max_position_embeddings": 64}
        | {"rope_parameters": {"full_attention": ROTATED["rope_parameters"], "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}}}
        | {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True, "pad_token_id": 0, "bos_token_id": 1}
        | {"eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "modernbert-decoder-cls": (
        transformers.ModernBertDecoderForSequenceClassification,
        {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2}
        | {"global_attn_every_n_layers": 2, "local_attention": 8, "max_position_embeddings": 64, "num_labels": 4}
        | {"classifier_bias": True, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2},
    ),
    "apertus": (transformers.ApertusForCausalLM, SMALL | {"rope_parameters": LLAMA3 | {"rope_theta": 10000.0}}),
    "helium": (
        transformers.HeliumForCausalLM,
        SMALL | ROTATED | {"head_dim": 8, "attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-3},
    ),
    "nemotron": (
        transformers.NemotronForCausalLM,
        SMALL | {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}, "mlp_bias": True},
    ),
    "vaultgemma": (
        transformers.VaultGemmaForCausalLM,
        SMALL
        | ROTATED
        | {"head_dim": 12, "query_pre_attn_scalar": 10, "sliding_window": 4, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 6.0},
    ),
    "seed_oss": (transformers.SeedOssForCausalLM, SMALL | ROTATED | {"head_dim": 12}),
    "ministral": (
        transformers.MinistralForCausalLM,
        DECODER | ROTATED | {"head_dim": 10, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "ministral3": (
        transformers.Ministral3ForCausalLM,
        SMALL | {"head_dim": 12, "max_position_embeddings": 64, "rope_parameters": GROWING},
    ),
    "mixtral": (
        transformers.MixtralForCausalLM,
        DECODER | ROTATED | {"head_dim": 12, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 4},
    ),
    "olmo": (transformers.OlmoForCausalLM, DECODER | ROTATED),
    "olmo3": (
        transformers.Olmo3ForCausalLM,
        SMALL
        | {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
        | {"rope_parameters": {"full_attention": YARN, "sliding_attention": ROTATED["rope_parameters"]}},
    ),
    "cohere": (transformers.CohereForCausalLM, DECODER | ROTATED | {"logit_scale": 0.4, "use_qk_norm": True, "tie_word_embeddings": True}),
    "cohere2": (
        transformers.Cohere2ForCausalLM,
        DECODER | ROTATED | {"num_hidden_layers": 4, "logit_scale": 0.4, "sliding_window": 4, "tie_word_embeddings": True},
    ),
    "qwen2_moe": (
        transformers.Qwen2MoeForCausalLM,
        DECODER
        | ROTATED
        | {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 48},
    ),
    "phi": (
        transformers.PhiForCausalLM,
        DECODER | PARTLY_ROTATED,
    ),
    "stablelm": (transformers.StableLmForCausalLM, DECODER | PARTLY_ROTATED | {"use_qkv_bias": True}),
    "stablelm-parallel": (
        transformers.StableLmForCausalLM,
        DECODER | PARTLY_ROTATED | {"qk_layernorm": True, "use_parallel_residual": True},
    ),
    "starcoder2": (transformers.Starcoder2ForCausalLM, DECODER | ROTATED | {"sliding_window": 4}),
    "distilbert-cls": (
        transformers.DistilBertForSequenceClassification,
        {"vocab_size": 96, "dim": 40, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "num_labels": 4}
        | {"max_position_embeddings": 64, "dropout": 0.0, "attention_dropout": 0.0, "pad_token_id": 1},
    ),
    "modernbert-cls": (
        transformers.ModernBertForSequenceClassification,
        MODERNBERT | {"classifier_pooling": "cls", "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    ),
    "modernbert-mean-cls": (transformers.ModernBertForSequenceClassification, MODERNBERT | {"classifier_pooling": "mean"}),
    "bert-regression-cls": (
        transformers.BertForSequenceClassification,
        TINY_ENCODER | {"type_vocab_size": 2, "max_position_embeddings": 32, "num_labels": 1},
    ),
    "xlm-roberta-labels-cls": (
        transformers.XLMRobertaForSequenceClassification,
        TINY_ENCODER
        | {"type_vocab_size": 1, "max_position_embeddings": 34, "num_labels": 3, "problem_type": "multi_label_classification"},
    ),
    "llama-regression-cls": (
        transformers.LlamaForSequenceClassification,
        TINY | ROTATED | {"num_key_value_heads": 1, "pad_token_id": 1, "num_labels": 2, "problem_type": "regression"},
    ),
    "camembert-cls": (
        transformers.CamembertForSequenceClassification,
        TINY_ENCODER
        | {"max_position_embeddings": 34, "type_vocab_size": 1, "num_labels": 4, "bos_token_id": 0, "eos_token_id": 2},
    ),
    "electra-cls": (
        transformers.ElectraForSequenceClassification,
        ENCODER | {"embedding_size": 24, "hidden_size": 32, "max_position_embeddings": 64, "type_vocab_size": 2},
    ),
    "deberta-v2-cls": (
        transformers.DebertaV2ForSequenceClassification,
        ENCODER
        | {"hidden_size": 32, "max_position_embeddings": 64, "relative_attention": True, "position_buckets": 6, "max_relative_positions": 12}
        | {"pos_att_type": ["p2c", "c2p"], "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}
        | {"problem_type": "single_label_classification"},
    ),
    # All that may be otherwise.
    "deberta-v2-conv-cls": (
        transformers.DebertaV2ForSequenceClassification,
        TINY_ENCODER
        | {"num_hidden_layers": 2, "max_position_embeddings": 16, "embedding_size": 10, "type_vocab_size": 2, "pooler_hidden_act": "tanh"}
        | {"relative_attention": True, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3, "conv_act": "gelu", "num_labels": 4}
        | {"problem_type": "single_label_classification"},
    ),
    "mpnet-cls": (
        transformers.MPNetForSequenceClassification,
        TINY_ENCODER | {"max_position_embeddings": 34, "relative_attention_num_buckets": 32, "num_hidden_layers": 2, "num_labels": 4},
    ),
    "eurobert-cls": (transformers.EuroBertForSequenceClassification, EUROBERT | ROTATED | {"num_key_value_heads": 1}),
    # All that may be otherwise.
    "eurobert-mean-cls": (
        transformers.EuroBertForSequenceClassification,
        EUROBERT
        | {"classifier_pooling": "mean", "head_dim": 12, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "rms_norm_eps": 1e-2}
        | {"rope_parameters": LLAMA3 | {"rope_theta": 500.0, "original_max_position_embeddings": 16}},
    ),
    "eurobert-bos-cls": (transformers.EuroBertForSequenceClassification, EUROBERT | ROTATED | {"classifier_pooling": "bos"}),
    "xlm-roberta-cls": (
        transformers.XLMRobertaForSequenceClassification,
        ENCODER | {"max_position_embeddings": 66, "type_vocab_size": 1, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2},
    ),
}
# Configurations of models that the class of others computes.
CONFIGS = {"exaone": transformers.ExaoneConfig}
GEMMA4_AS_PUBLISHED = {
    "rope_parameters": {"full_attention": HALF_TURNING, "sliding_attention": ROTATED["rope_parameters"]},
    "rope_theta": None,
    "global_head_dim": 12,
}
# What transformers 4 wrote in another way; the first Gemma files name the activation so.
AS_OF_V4 = {
    "gemma": {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"},
    "gpt_neox": {"rotary_emb_base": 5000.0, "rotary_pct": 0.4},
    # As published files are written.
    "gemma4_text": GEMMA4_AS_PUBLISHED | {"num_global_key_value_heads": 1},
    "gemma4_text-linked": GEMMA4_AS_PUBLISHED,
    "gemma4_text-experts": GEMMA4_AS_PUBLISHED | {"num_global_key_value_heads": 1},
    "granitemoehybrid-experts": {"layer_types": ["mamba", "attention"], "time_step_limit": [0.0, 1e30]},
    "granitemoehybrid": {"layer_types": ["attention"] * 2, "time_step_limit": None},
    "granitemoehybrid-h": {"layer_types": ["mamba", "attention"], "time_step_limit": [0.0, 1e30]},
    "granitemoehybrid-files": {"layer_types": ["mamba", "attention"], "time_step_limit": [0.0, {"__float__": "Infinity"}]},
    "apertus": {"rope_scaling": LLAMA3},
    "exaone": {"architectures": ["ExaoneForCausalLM"], "num_layers": 2, "layer_norm_epsilon": 1e-5, "activation_function": "silu", "rope_scaling": LLAMA3}
    | {"num_hidden_layers": None, "rms_norm_eps": None, "hidden_act": None},
    "hunyuan_v1_dense": {"rope_scaling": STRETCHED},
    "lfm2": {"layer_types": None, "full_attn_idxs": [1], "intermediate_size": 1, "block_ff_dim": 70, "tie_embedding": True},
    "qwen3_5_text": {"partial_rotary_factor": 0.5},
    "qwen3_5_text-even": {"partial_rotary_factor": 0.5},
    "qwen3_5_moe_text": {"partial_rotary_factor": 0.5, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
    "qwen2_vl": {"text_config": {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}},
    "qwen2_5_vl": {"text_config": {"rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]}}},
    "qwen3_vl": {"text_config": {"rope_scaling": {"rope_type": "default", "mrope_section": [2, 2, 2], "mrope_interleaved": True}}},
    "idefics3": {"text_config": {"perceiver_config": {"resampler_depth": 6}, "pixel_shuffle_factor": 4, "qk_layer_norms": False, "use_resampler": False}},
    "smolvlm": {"text_config": {"_flash_attn_2_enabled": True, "neftune_noise_alpha": 0.0}},
    "qwen3_5_moe": {"text_config": {"partial_rotary_factor": 0.5}},
    "ministral3": {"rope_parameters": GROWING},
    "modernbert-decoder": {"layer_types": None, "global_attn_every_n_layers": 2, "sliding_window": None}
    | {"global_rope_theta": 5000.0, "local_rope_theta": 300.0, "rope_theta": None},
    "deepseek_v2": {"rope_scaling": {key: value for key, value in DEEP_YARN.items() if key not in ("rope_theta", "rope_type")} | {"type": "yarn"}},
    "deepseek_v3": {"rope_scaling": {key: value for key, value in (DEEP_YARN | {"mscale": 1.0}).items() if key != "rope_theta"}},
    "glm4_moe_lite": {"mlp_layer_types": None, "first_k_dense_replace": 1, "topk_method": "noaux_tc", "num_nextn_predict_layers": 1},
    "gpt_oss": {"rope_scaling": {key: value for key, value in YARN.items() if key != "rope_theta"} | {"truncate": False}},
    "exaone4": {"sliding_window_pattern": "LG", "layer_types": None},
    "olmo3": {"rope_scaling": {key: value for key, value in YARN.items() if key != "rope_theta"}},
    "cohere2": {"layer_types": None, "sliding_window_pattern": 4},
    "phi": {"partial_rotary_factor": 0.6},
    "vaultgemma": {"layer_types": None},
    "nemotron": {"partial_rotary_factor": 0.5},
    "stablelm": {"partial_rotary_factor": 0.6},
    "stablelm-parallel": {"partial_rotary_factor": 0.6},
}
# Modules that files call otherwise than transformers 5 does.
IN_FILES = {"gpt_neox": (r"^lm_head\.", "embed_out."), "mixtral": (r"\.mlp\.", ".block_sparse_moe.")}

# Models that also read images, their text part; what tensors are called in the folders that are published, with the experts of a layer in one.
AS_PUBLISHED = {
    "qwen2_vl": lambda name: name.replace("model.language_model.", "model.").replace("model.visual.", "visual."),
    "qwen2_5_vl": lambda name: name.replace("model.language_model.", "model.").replace("model.visual.", "visual."),
} | dict.fromkeys(("qwen3_vl", "qwen3_5_moe", "idefics3", "smolvlm"), lambda name: name)
# Files that have the settings of the text part in the open.
FLAT = ["qwen2_vl"]


READ = (r"^model\.(language|text)_model\.", "model.")

# Labels of heads that tell numbers, or several classes: one number without a word of it in the configuration.
TARGETS = {
    1: [0.5, -2.25, 3.0],
    "regression": [[0.5, -1.0], [-2.25, 0.0], [3.0, 4.5]],
    "multi_label_classification": [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.25]],
}


def make_random(model):
    for name, p in model.named_parameters():
        if p.ndim == 1:
            plus_one = any(family in type(model).__name__ for family in ("Gemma", "Nemotron")) and "Gemma4" not in type(model).__name__
            counts_from_one = "norm" in name.lower() and name.endswith("weight") and not plus_one
            p.data.normal_(1.0 if counts_from_one else 0.0, 0.2)
            # Scores have no other factor: what is rounded would be magnified.
            if "Gemma4" in type(model).__name__ and name.endswith("q_norm.weight"):
                p.data.mul_(0.3)
            # Of what is normed, times the root of a width: logits that differ.
            if name.endswith("router.scale"):
                p.data.normal_(0.0, 6.0)
            if name.endswith("per_expert_scale"):
                p.data.add_(1.0)
        elif "Gemma4" in type(model).__name__ and ".experts." in name:
            p.data.normal_(0.0, p.shape[-1] ** -0.5)
        else:
            p.data.normal_(0.0, p[0].numel() ** -0.5)
    for name, bias in model.named_buffers():
        if name.endswith(("expert_bias", "e_score_correction_bias")):
            bias.normal_(0.0, 0.3)
        if name.endswith("layer_scalar"):
            bias.normal_(1.0, 0.3)


def config_of_v4(config, name):
    config.pop("per_layer_config", None)
    own = dict(AS_OF_V4.get(name, {}))
    text = config.pop("text_config", None)
    changes = {"torch_dtype": config.pop("dtype")} | older_rotation(config)
    if text:
        text |= older_rotation(text) | own.pop("text_config")
        changes |= {key: value for key, value in text.items() if key not in config} if name in FLAT else {"text_config": text}
    return config | changes | {"transformers_version": "4.51.0"} | own


def older_rotation(config):
    if not (rope := config.pop("rope_parameters", None)):
        return {}
    scaling = {key: rope[key] for key in ("rope_type", "mrope_section")} if "mrope_section" in rope else None
    return {"rope_theta": rope.get("full_attention", rope)["rope_theta"], "rope_scaling": scaling}


def rows(lengths, vocab_size, pad):
    ids = torch.full((len(lengths), max(lengths)), pad)
    for row, length in zip(ids, lengths):
        row[:length] = torch.randint(3, vocab_size, (length,))
    return {"input_ids": ids, "attention_mask": (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()}


def language_golden(model, vocab_size):
    batch = rows([12, 9], vocab_size, 0)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[0, :3] = labels[1, :2] = -100
    result = model(**batch, labels=labels)
    result.loss.backward()
    prompt = torch.randint(3, vocab_size, (1, 5))
    with torch.no_grad():
        written = model.generate(
            prompt, max_new_tokens=24, min_new_tokens=24, do_sample=False, eos_token_id=None, output_logits=True, return_dict_in_generate=True
        )
    logits = torch.cat(written.logits)
    top = logits.topk(2).values
    assert (top[:, 0] - top[:, 1]).min() > 1e-3, "two ids are nearly as likely: take another seed"
    batch |= {"labels": labels}
    golden = {
        "kind": "model",
        "batch": {key: value.tolist() for key, value in batch.items()},
        "loss": result.loss.item(),
        "generate": {"prompt": prompt[0].tolist(), "new_ids": written.sequences[0, 5:].tolist()},
    }
    return golden, {"logits": result.logits, "generate.logits": logits}


def classes_golden(model, vocab_size):
    batch = rows([9, 6, 11], vocab_size, 1)
    labels = torch.tensor(TARGETS.get(model.config.problem_type or model.config.num_labels, [3, 2, 3]))
    result = model(**batch, labels=labels)
    result.loss.backward()
    batch = {key: value.tolist() for key, value in batch.items()}
    golden = {"kind": "classifier", "batch": batch, "labels": labels.tolist(), "loss": result.loss.item()}
    return golden, {"logits": result.logits}


def main(out, names):
    torch.set_num_threads(1)
    for name in names:
        model_class, settings = MODELS[name]
        torch.manual_seed(2026)
        # DeBERTa has no other attention, and no name for it.
        attention = {} if name.startswith("deberta") else {"attn_implementation": "eager"}
        config = CONFIGS.get(name, model_class.config_class)(**settings, **attention)
        model = model_class(config).eval()
        make_random(model)
        folder = out / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        make = classes_golden if name.endswith("-cls") else language_golden
        golden, tensors = make(model, config.get_text_config().vocab_size)
        if rename := AS_PUBLISHED.get(name):
            kept = {rename(key): value for key, value in model.state_dict().items() if key not in model.all_tied_weights_keys}
            save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        if not name.endswith("-cls"):
            saved = json.loads((folder / "config.json").read_text())
            (folder / "config.v4.json").write_text(json.dumps(config_of_v4(saved, name), indent=1) + "\n")
        changed = READ if name in AS_PUBLISHED else IN_FILES.get(name, ("", ""))
        tensors |= {f"grad.{re.sub(*changed, key)}": p.grad for key, p in model.named_parameters() if p.grad is not None}
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "golden.safetensors")
        golden |= {"versions": {"transformers": transformers.__version__, "torch": torch.__version__}}
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


main(Path(sys.argv[1]), sys.argv[2:] or MODELS)

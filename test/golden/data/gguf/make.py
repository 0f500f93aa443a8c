"""GGUF files of the random tiny models of ../models, laid out as llama.cpp's converter lays out its own.

    python -B make.py --models ../models --out .       # torch 2.13.0+cpu, transformers 5.24.0, gguf 0.19.0, safetensors 0.8.0

Names of tensors come from the gguf package; what a converter changes in the numbers and which settings it writes is stated
here, family by family. Beside each file: the logits of transformers for one batch, computed from the safetensors file, under
the settings that the GGUF file can say (`changes.json`). Where transformers reads the GGUF file itself, its logits are compared.
"""
import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

# Settings of the models in the files, where they are not those of `../models`: what a GGUF file cannot say, as its readers
# take it (the scale of Gemma follows from the width of its heads, Mistral, Mixtral and StarCoder 2 have no window, experts of gpt-oss
# have the limit of the published ones), a model of its own, and an epsilon for Qwen 3.5 with which its norm of what is nearly nothing
# does not magnify what is rounded.
CHANGES = json.loads((Path(__file__).parent / "changes.json").read_text())
ARCHITECTURES = {
    "llama": "LLAMA",
    "llama-scaled": "LLAMA",
    "llama-yarn": "LLAMA",
    "mistral": "LLAMA",
    "ministral3": "MISTRAL3",
    "mixtral": "LLAMA",
    "qwen2": "QWEN2",
    "qwen3": "QWEN3",
    "gemma": "GEMMA",
    "gemma2": "GEMMA2",
    "gemma3_text": "GEMMA3",
    "gemma4_text": "GEMMA4",
    "gemma4_text-linked": "GEMMA4",
    "gemma4_text-experts": "GEMMA4",
    "gpt2": "GPT2",
    "gpt_neox": "GPTNEOX",
    "granite": "GRANITE",
    "granitemoe": "GRANITE_MOE",
    "granitemoehybrid-files": "GRANITE_HYBRID",
    "falcon_h1-files": "FALCON_H1",
    "granitemoehybrid-experts": "GRANITE_HYBRID",
    "lfm2": "LFM2",
    "lfm2_moe": "LFM2MOE",
    "qwen2_vl": "QWEN2VL",
    "qwen3_vl": "QWEN3VL",
    "smolvlm": "LLAMA",
    "qwen3_5_text": "QWEN35",
    "qwen3_5_text-even": "QWEN35",
    "qwen3_5_moe_text": "QWEN35MOE",
    "ernie4_5": "ERNIE4_5",
    "exaone": "EXAONE",
    "ernie4_5_moe": "ERNIE4_5_MOE",
    "exaone4": "EXAONE4",
    "glm": "CHATGLM",
    "glm4": "GLM4",
    "arcee": "ARCEE",
    "apertus": "APERTUS",
    "seed_oss": "SEED_OSS",
    "gpt_oss": "GPT_OSS",
    "hunyuan_v1_dense": "HUNYUAN_DENSE",
    "cohere": "COMMAND_R",
    "cohere2": "COHERE2",
    "nemotron": "NEMOTRON",
    "phi": "PHI2",
    "phi3": "PHI3",
    "phi3-long": "PHI3",
    "smollm3": "SMOLLM3",
    "stablelm": "STABLELM",
    "stablelm-parallel": "STABLELM",
    "starcoder2": "STARCODER2",
    "olmo": "OLMO",
    "olmo2": "OLMO2",
    "olmo3": "OLMO2",
    "qwen2_moe": "QWEN2MOE",
    "qwen3_moe": "QWEN3MOE",
    "olmoe": "OLMOE",
    "deepseek_v2": "DEEPSEEK2",
    "deepseek_v3": "DEEPSEEK2",
}

def add_factors(w, c):
    w.add_attention_scale(c["attention_multiplier"])
    w.add_embedding_scale(c["embedding_multiplier"])
    w.add_residual_scale(c["residual_multiplier"])
    w.add_logit_scale(c["logits_scaling"])


def add_experts(w, c):
    w.add_expert_count(c.get("num_local_experts") or c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    if "moe_intermediate_size" in c:
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    if "shared_expert_intermediate_size" in c:
        w.add_expert_shared_feed_forward_length(c["shared_expert_intermediate_size"])


def write_gemma4_settings(w, c, rope):
    windowed = [kind == "sliding_attention" for kind in c["layer_types"]]
    full = next(iter(c["per_layer_config"].values()))
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    if "num_key_value_heads" in full:
        w.add_head_count_kv([c["num_key_value_heads"] if is_windowed else full["num_key_value_heads"] for is_windowed in windowed])
    else:
        w.add_head_count_kv(c["num_key_value_heads"])
    w.add_final_logit_softcapping(c["final_logit_softcapping"])
    w.add_sliding_window(c["sliding_window"])
    w.add_sliding_window_pattern(windowed)
    w.add_shared_kv_layers(c["num_kv_shared_layers"])
    w.add_embedding_length_per_layer_input(c["hidden_size_per_layer_input"])
    if c.get("enable_moe_block"):
        w.add_expert_count(c["num_experts"])
        w.add_expert_used_count(c["top_k_experts"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    w.add_rope_freq_base(rope["full_attention"]["rope_theta"])
    w.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    for add, width in ((w.add_key_length, full["head_dim"]), (w.add_value_length, full["head_dim"]), (w.add_rope_dimension_count, full["head_dim"])):
        add(width)
    for add in (w.add_key_length_swa, w.add_value_length_swa, w.add_rope_dimension_count_swa):
        add(c["head_dim"])


def write_latent_settings(w, c, rope):
    """Attention of one head of keys, which are what keys and values are made of, and experts."""
    w.add_head_count_kv(1)
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_group_count(c.get("n_group") or 1)
    w.add_expert_group_used_count(c.get("topk_group") or 1)
    is_v3 = c["model_type"] == "deepseek_v3"
    w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if is_v3 else gguf.ExpertGatingFuncType.SOFTMAX)
    w.add_leading_dense_block_count(c["first_k_dense_replace"])
    w.add_vocab_size(c["vocab_size"])
    if c["q_lora_rank"]:
        w.add_q_lora_rank(c["q_lora_rank"])
    w.add_kv_lora_rank(c["kv_lora_rank"])
    w.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"])
    w.add_value_length(c["kv_lora_rank"])
    w.add_key_length_mla(c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
    w.add_value_length_mla(c["v_head_dim"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    w.add_expert_count(c["n_routed_experts"])
    w.add_expert_shared_count(c["n_shared_experts"])
    w.add_expert_weights_scale(c["routed_scaling_factor"])
    if c["norm_topk_prob"]:
        w.add_expert_weights_norm(True)
    w.add_rope_dimension_count(c["qk_rope_head_dim"])
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(rope["factor"])
    w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    w.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def write_settings(w, family, c, num_behind):
    """The settings of the converter's classes; `num_behind` blocks that predict further tokens lie behind the model's own."""
    rope = c.get("rope_parameters") or {}
    full = rope.get("full_attention", rope)
    if family == "gpt2":
        w.add_block_count(c["n_layer"])
        w.add_context_length(c["n_positions"])
        w.add_embedding_length(c["n_embd"])
        w.add_feed_forward_length(4 * c["n_embd"])
        w.add_head_count(c["n_head"])
        w.add_layer_norm_eps(c["layer_norm_epsilon"])
        return
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    if family == "granitemoehybrid-files":
        w.add_feed_forward_length(c["shared_intermediate_size"])
    elif c.get("use_double_wide_mlp"):
        wide, shared = c["intermediate_size"], c["num_kv_shared_layers"]
        w.add_feed_forward_length([wide] * (c["num_hidden_layers"] - shared) + [2 * wide] * shared)
    elif family not in ("lfm2", "qwen3_5_moe_text"):
        w.add_feed_forward_length(c["intermediate_size"])
    w.add_block_count(c["num_hidden_layers"] + num_behind)
    w.add_head_count(c["num_attention_heads"])
    if family == "gpt_neox":
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * (c["hidden_size"] // c["num_attention_heads"])))
        w.add_rope_freq_base(rope["rope_theta"])  # the models' own is the reader's default, 10000; this tiny one's is not
        w.add_parallel_residual(c["use_parallel_residual"])
        w.add_layer_norm_eps(c["layer_norm_eps"])
        return
    if family == "lfm2_moe":
        w.add_expert_count(c["num_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
        w.add_leading_dense_block_count(c["num_dense_layers"])
        w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    if family in ("lfm2", "lfm2_moe"):
        if family == "lfm2":
            part = int(c["block_ffn_dim_multiplier"] * int(2 * c["intermediate_size"] / 3))
            w.add_feed_forward_length(-(-part // c["block_multiple_of"]) * c["block_multiple_of"])
        w.add_head_count_kv([c["num_key_value_heads"] if kind == "full_attention" else 0 for kind in c["layer_types"]])
        w.add_vocab_size(c["vocab_size"])
        w.add_shortconv_l_cache(c["conv_L_cache"])
        w.add_layer_norm_rms_eps(c["norm_eps"])
        w.add_rope_freq_base(rope["rope_theta"])
        return
    if family.startswith("granitemoehybrid"):
        w.add_head_count_kv([c["num_key_value_heads"] if kind == "full_attention" else 0 for kind in c["layer_types"]])
        w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
        w.add_rope_scaling_finetuned(False)  # nothing is rotated; the converter writes a base all the same
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        w.add_vocab_size(c["vocab_size"])
        w.add_expert_shared_feed_forward_length(c["shared_intermediate_size"])
        w.add_ssm_conv_kernel(c["mamba_d_conv"])
        w.add_ssm_state_size(c["mamba_d_state"])
        w.add_ssm_group_count(c["mamba_n_groups"])
        w.add_ssm_inner_size(c["mamba_expand"] * c["hidden_size"])
        w.add_ssm_time_step_rank(c["mamba_n_heads"])
        add_factors(w, c)
        if family.endswith("experts"):
            add_experts(w, c)
        return
    if family.startswith("gemma4_text"):
        write_gemma4_settings(w, c, rope)
        return
    if family.startswith("deepseek"):
        write_latent_settings(w, c, rope)
        return
    w.add_head_count_kv(c["num_key_value_heads"])
    if family.startswith("qwen3_5"):
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        w.add_rope_freq_base(rope["rope_theta"])
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * c["head_dim"]))
        w.add_rope_dimension_sections((rope.get("mrope_section", [11, 11, 10]) + [0])[:4])
        w.add_vocab_size(c["vocab_size"])
        w.add_ssm_conv_kernel(c["linear_conv_kernel_dim"])
        w.add_ssm_state_size(c["linear_key_head_dim"])
        w.add_ssm_group_count(c["linear_num_key_heads"])
        w.add_ssm_time_step_rank(c["linear_num_value_heads"])
        w.add_ssm_inner_size(c["linear_value_head_dim"] * c["linear_num_value_heads"])
        w.add_full_attention_interval(c.get("full_attention_interval", 4))
        if "num_experts" in c:
            add_experts(w, c)
        recurrent = [kind == "linear_attention" for kind in c["layer_types"]]
        w.add_array(f"{w.arch}.attention.recurrent_layers", recurrent + [False] * num_behind)
        if num_behind:
            w.add_nextn_predict_layers(num_behind)
        return
    if family in ("phi", "stablelm", "stablelm-parallel", "nemotron"):
        if family.startswith("stablelm"):
            w.add_parallel_residual(c["use_parallel_residual"])
        if family == "nemotron":
            w.add_vocab_size(c["vocab_size"])
        w.add_layer_norm_eps(c["norm_eps"] if family == "nemotron" else c["layer_norm_eps"])
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * c["hidden_size"]) // c["num_attention_heads"])
        w.add_rope_freq_base(rope["rope_theta"])  # the models' own is the reader's default, 10000; this tiny one's is not
        return
    if family in ("cohere", "cohere2"):
        w.add_layer_norm_eps(c["layer_norm_eps"])
        w.add_rope_freq_base(rope["rope_theta"])
        w.add_logit_scale(c["logit_scale"])
        if family == "cohere2":
            w.add_sliding_window(c["sliding_window"])
            w.add_vocab_size(c["vocab_size"])
            w.add_rope_dimension_count(c["head_dim"])
        return
    if family in ("starcoder2", "olmo"):
        w.add_layer_norm_eps(c.get("norm_epsilon", 1e-5))
        w.add_rope_freq_base(full["rope_theta"])
        return
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    if family == "falcon_h1-files":
        w.add_vocab_size(c["vocab_size"])
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
        w.add_rope_freq_base(rope["rope_theta"])
        w.add_ssm_conv_kernel(c["mamba_d_conv"])
        w.add_ssm_inner_size(c["mamba_d_ssm"])
        w.add_ssm_state_size(c["mamba_d_state"])
        w.add_ssm_time_step_rank(c["mamba_d_ssm"] // c["mamba_d_head"])
        w.add_ssm_group_count(c["mamba_n_groups"])
        return
    if family.startswith("phi3"):
        w.add_rope_scaling_orig_ctx_len(c["original_max_position_embeddings"])
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * c["hidden_size"]) // c["num_attention_heads"])
        w.add_rope_freq_base(rope["rope_theta"])
        w.add_sliding_window(c["sliding_window"] or 0)
        return
    head_dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    if family == "gemma2":
        w.add_rope_freq_base(full["rope_theta"])  # the model's own is the reader's default, 10000; this tiny one's is not
        w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
        w.add_sliding_window(c["sliding_window"])
        return
    w.add_rope_freq_base(full["rope_theta"] * full.get("alpha", 1) ** (head_dim / (head_dim - 2)))
    if family == "gemma3_text":
        w.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        w.add_sliding_window(c["sliding_window"])
        w.add_sliding_window_pattern(2)  # as this tiny one has it; readers take 6 by themselves
    if family in ("qwen2_vl", "qwen3_vl"):
        w.add_rope_dimension_sections((rope["mrope_section"] + [0])[:4])
    if family == "qwen3_vl":
        w.add_num_deepstack_layers(len(c["vision_config"]["deepstack_visual_indexes"]))
    if family in ("glm", "glm4"):
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim))
    if family == "exaone":
        w.add_rope_dimension_count(head_dim)
    if family == "ernie4_5_moe":
        w.add_expert_count(c["moe_num_experts"])
        w.add_expert_used_count(c["moe_k"])
        w.add_interleave_moe_layer_step(c["moe_layer_interval"])
        w.add_leading_dense_block_count(c["moe_layer_start_index"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
        w.add_expert_shared_count(c["moe_num_shared_experts"])
        w.add_expert_shared_feed_forward_length(c["intermediate_size"] // c["num_key_value_heads"])  # as readers take it, where it is right
    if family in ("exaone4", "gpt_oss"):
        w.add_vocab_size(c["vocab_size"])
    if family == "gpt_oss":
        w.add_sliding_window(c["sliding_window"])
        w.add_expert_feed_forward_length(c["intermediate_size"])
    if family in ("exaone4", "olmo3"):
        w.add_sliding_window(c["sliding_window"])
        w.add_sliding_window_pattern([kind == "sliding_attention" for kind in c["layer_types"]])
    if family in ("granite", "granitemoe"):
        add_factors(w, c)
    if family in ("llama", "llama-scaled", "llama-yarn", "mistral", "ministral3", "mixtral", "smollm3", "smolvlm", "granite", "granitemoe", "arcee", "apertus"):
        w.add_vocab_size(c["vocab_size"])
        w.add_rope_dimension_count(head_dim)
    if full.get("rope_type") == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(full["factor"])
        w.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_beta_fast(full["beta_fast"])
        w.add_rope_scaling_yarn_beta_slow(full["beta_slow"])
    if family == "ministral3":
        w.add_rope_scaling_yarn_log_mul(full["mscale_all_dim"])
        w.add_attn_temperature_scale(full["llama_4_scaling_beta"])
    if "num_experts_per_tok" in c:
        add_experts(w, c)


def write_tokenizer(w, vocab_size):
    """One token a character; the tests look at no text."""
    characters = [chr(code) for code in (*range(33, 127), *range(0xC0, 0x100))]
    tokens = ["<pad>", "<s>", "</s>", *characters][: vocab_size - 1] + ['!"']
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (vocab_size - 3))
    w.add_token_merges(['! "'])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_pad_token_id(0)


def interleave(weight, num_heads):
    """The halves of each head, that rotate together, row by row."""
    rows = weight.shape[0]
    return weight.reshape(num_heads, 2, rows // num_heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def values_apart(array, c):
    """Heads of values (keys, n, E) as (n, keys, E), along the first axis."""
    keys = c["linear_num_key_heads"]
    heads = array.reshape(keys, c["linear_num_value_heads"] // keys, -1, *array.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(0, 1)).reshape(array.shape)


def with_values_apart(name, c, array):
    if ".linear_attn." not in name or ".norm." in name:
        return array
    if ".out_proj." in name:
        return np.ascontiguousarray(values_apart(array.T, c).T)
    before = 2 * c["linear_num_key_heads"] * c["linear_key_head_dim"] if ".in_proj_qkv." in name or ".conv1d." in name else 0
    return np.concatenate([array[:before], values_apart(array[before:], c)])


def converted(family, c, tensors):
    """Yields name (of transformers) and numbers as the file has them."""
    experts = {}
    for name, value in tensors.items():
        array = value.numpy()
        if family in ("llama", "llama-scaled", "llama-yarn", "mistral", "ministral3", "mixtral", "smollm3", "smolvlm", "olmo", "arcee") or family.startswith("granite"):
            if "q_proj" in name:
                array = interleave(array, c["num_attention_heads"])
            if "k_proj" in name:
                array = interleave(array, c["num_key_value_heads"])
        if family in ("gemma", "gemma2", "gemma3_text", "nemotron") and name.endswith("norm.weight"):
            array = array + np.float32(1)
        if family == "gpt_neox" and ".query_key_value." in name:
            parts = array.reshape(c["num_attention_heads"], 3, -1, *array.shape[1:]).swapaxes(0, 1)
            array = np.ascontiguousarray(parts).reshape(array.shape)
        if family == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            array = np.ascontiguousarray(array.T)
        if family.startswith("qwen3_5"):
            array = with_values_apart(name, c, array)
            if name.endswith("A_log"):
                array = -np.exp(array.astype(np.float64)).astype(np.float32)
            if name.endswith("norm.weight") and "linear_attn" not in name:
                array = array + np.float32(1)
            name = name.replace(".dt_bias", ".dt_proj.bias")
        if family.startswith("granitemoehybrid") or family == "falcon_h1-files":
            name = name.replace(".dt_bias", ".dt_proj.bias")
            if name.endswith("A_log"):
                array = -np.exp(array.astype(np.float64)).astype(np.float32)
            if name.endswith((".A_log", ".D")):
                array = array[:, None]
            if name.endswith("mamba.norm.weight"):
                array = array.reshape(c["mamba_n_groups"], -1)
            if ".shared_mlp." in name:
                before, layer = name.split(".shared_mlp.")[0], name.split(".")[-2]
                parts = {"input_linear": ("gate_proj", "up_proj"), "output_linear": ("down_proj",)}[layer]
                where = "mlp.shared_experts" if family.endswith("experts") else "mlp"
                yield from ((f"{before}.{where}.{part}.weight", half) for part, half in zip(parts, np.split(array, len(parts))))
                continue
        if name.endswith("block_sparse_moe.input_linear.weight"):
            gate_up = np.split(array, 2, axis=1)
            yield from ((name.replace("block_sparse_moe.input_linear", f"mlp.experts.{part}"), half) for part, half in zip(("gate_proj", "up_proj"), gate_up))
            continue
        if name.endswith(("conv.conv.weight", "conv1d.weight")):
            array = array.squeeze(1)
        if family == "stablelm-parallel" and "_layernorm.norms." in name:
            before, after = name.split(".norms.")
            experts.setdefault(f"{before}.weight", {})[int(after.split(".")[0])] = array
            continue
        if name.endswith(".layer_scalar"):
            name += ".weight"
        if name.endswith(".expert_bias"):
            name += ".bias"
        name = name.replace("e_score_correction_bias", "e_score_correction.bias")
        if ".kv_b_proj." in name:
            heads = array.reshape(c["num_attention_heads"], -1, array.shape[-1])
            keys, values = np.split(heads, [c["qk_nope_head_dim"]], axis=1)
            yield name.replace("kv_b_proj", "k_b_proj"), keys.swapaxes(1, 2)
            yield name.replace("kv_b_proj", "v_b_proj"), values
            continue
        if family == "gemma4_text-experts":
            name = name.replace("router.scale", "router.proj.scale").replace("router.per_expert_scale", "experts.down_proj.scale")
            if ".experts." in name:
                # Those of all in one, as transformers has them.
                yield name if name.endswith(".scale") else f"{name}.weight", array
                continue
        if "shared_expert_gate" in name:
            array = array.squeeze()  # one row
        if family == "gpt_oss":
            if ".experts." in name:
                yield from gpt_oss_expert(name, array)
                continue
            name += ".weight" if name.endswith("sinks") else ""
        if ".experts." in name:
            before, after = name.split(".experts.")
            number, module = after.split(".", 1)
            experts.setdefault(f"{before}.experts.{module}", {})[int(number)] = array
            continue
        yield name, array
    for name, parts in experts.items():
        yield name.removeprefix("model.") if family == "lfm2_moe" else name, np.stack([parts[i] for i in range(len(parts))])


def gpt_oss_expert(name, array):
    """A stack of matrices [experts, in, out] or of biases as [experts, out, in]; rows of gate and up, which lie in turn, apart."""
    before, matrix = name.split(".experts.")
    part = "bias" if matrix.endswith("_bias") else "weight"
    if part == "weight":
        array = array.swapaxes(1, 2)
    if matrix.startswith("down_proj"):
        return [(f"{before}.experts.down_proj.{part}", array)]
    return [(f"{before}.experts.gate_proj.{part}", array[:, ::2]), (f"{before}.experts.up_proj.{part}", array[:, 1::2])]


def llama3_factors(c):
    r = c["rope_parameters"]
    head_dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    freqs = 1.0 / (r["rope_theta"] ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
    factors = []
    for freq in freqs:
        length = 2 * np.pi / freq
        low, high = (r["original_max_position_embeddings"] / r[f"{end}_freq_factor"] for end in ("low", "high"))
        smooth = (r["original_max_position_embeddings"] / length - r["low_freq_factor"]) / (
            r["high_freq_factor"] - r["low_freq_factor"]
        )
        between = 1 / ((1 - smooth) / r["factor"] + smooth)
        factors.append(1 if length < high else r["factor"] if length > low else float(between))
    return np.array(factors, dtype=np.float32)


def write_file(path, family, c, tensors, num_behind=0, experts=None):
    """`experts`: the type of their matrices; None: float32."""
    arch = getattr(gguf.MODEL_ARCH, ARCHITECTURES[family])
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    w.add_name(f"tiny {family}")
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    write_settings(w, family, c, num_behind)
    write_tokenizer(w, c["vocab_size"])
    num_blocks = c.get("num_hidden_layers") or c["n_layer"]
    names = gguf.get_tensor_name_map(arch, num_blocks)
    if family == "apertus":
        for name in ("alpha_p", "alpha_n", "beta", "eps"):
            values = [tensors.pop(f"model.layers.{block}.mlp.act_fn.{name}").item() for block in range(num_blocks)]
            getattr(w, f"add_xielu_{name}")(values)
    if family in ("llama-scaled", "apertus", "exaone"):
        w.add_tensor("rope_freqs.weight", llama3_factors(c))
    if family == "phi3-long":
        ratio = c["max_position_embeddings"] / c["original_max_position_embeddings"]
        w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(ratio) / np.log(c["original_max_position_embeddings"]))))
        w.add_tensor("rope_factors_long.weight", np.array(c["rope_parameters"]["long_factor"], dtype=np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(c["rope_parameters"]["short_factor"], dtype=np.float32))
    if family.startswith("gemma4_text"):
        half = next(iter(c["per_layer_config"].values()))["head_dim"] // 2
        turning = int(half * c["rope_parameters"]["full_attention"]["partial_rotary_factor"])
        w.add_tensor("rope_freqs.weight", np.array([1.0] * turning + [1e30] * (half - turning), dtype=np.float32))
    for name, array in converted(family, c, tensors):
        found = names.get_name(name, try_suffixes=(".weight", ".bias", ".scale"))
        assert found, name
        array = np.ascontiguousarray(array)
        if experts is not None and found.endswith("_exps.weight"):
            w.add_tensor(found, gguf.quants.quantize(array, experts), raw_dtype=experts)
        else:
            w.add_tensor(found, array)
    for block in range(num_blocks, num_blocks + num_behind):
        w.add_tensor(f"blk.{block}.nextn.eh_proj.weight", np.ones((c["hidden_size"], 2 * c["hidden_size"]), dtype=np.float32))
        w.add_tensor(f"blk.{block}.attn_norm.weight", np.ones(c["hidden_size"], dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def logits_of(model, batch):
    with torch.no_grad():
        return model.eval()(input_ids=batch["ids"], attention_mask=batch["mask"]).logits.float()


def difference_of(path, config, batch, expected):
    try:
        given = {} if config is None else {"config": config}
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, attn_implementation="eager", dtype=torch.float32, **given
        )
        difference = (logits_of(model, batch) - expected).abs().max().item()
    except Exception as error:
        return f"not readable: {str(error).splitlines()[0][:100]}"
    return f"logits are {difference:.2g} apart"


def text_part(c, tensors):
    """Settings and tensors of what reads text, of models that read images too."""
    if "text_config" not in c:
        return c, tensors
    ours = {name: re.sub(r"^model\.(language|text)_model\.", "model.", name) for name in tensors if not re.search("visual|vision|connector", name)}
    return c["text_config"] | {"vision_config": c["vision_config"]}, {own: tensors[name] for name, own in ours.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, all_ids = {}, {}
    for family in ARCHITECTURES:
        folder = args.models / family.removesuffix("-long")
        whole = json.loads((folder / "config.json").read_text()) | CHANGES.get(family, {})
        c, tensors = text_part(whole, load_file(folder / "model.safetensors"))
        path = args.out / f"{family}.gguf"
        write_file(path, family, c, tensors)
        if family == "qwen3_5_text-even":
            write_file(args.out / "qwen3_5_text-ahead.gguf", family, c, tensors, num_behind=1)
        if family == "gpt_oss":
            write_file(args.out / "gpt_oss-mxfp4.gguf", family, c, tensors, experts=gguf.GGMLQuantizationType.MXFP4)
        ids = torch.randint(3, c["vocab_size"], (2, 12), generator=torch.Generator().manual_seed(7))
        batch = {"ids": ids, "mask": torch.ones_like(ids)}
        with tempfile.TemporaryDirectory() as changed:
            (Path(changed) / "config.json").write_text(json.dumps(whole))
            shutil.copy(folder / "model.safetensors", changed)
            auto = AutoModelForCausalLM if c is whole else AutoModelForImageTextToText
            model = auto.from_pretrained(changed, attn_implementation="eager", dtype=torch.float32)
            expected = logits_of(model, batch)
        all_ids[family] = ids.tolist()
        results[family] = expected
        if c is not whole:
            continue
        given = AutoConfig.for_model(**{key: value for key, value in c.items() if key != "time_step_limit"})  # infinity is no JSON
        for what, config in {"its own settings": None, "the settings given": given}.items():
            print(f"{family}, read by transformers with {what}:", difference_of(path, config, batch, expected))
    save_file(results, args.out / "logits.safetensors")
    (args.out / "ids.json").write_text(json.dumps(all_ids) + "\n")


main()

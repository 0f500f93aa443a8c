/** @file What families refuse: settings that graft does not implement, weights that do not fit, texts that are too long. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Generator } from "../../src/engine/generation/generator.ts";
import { loadModel, readAdapter, writeModel } from "../../src/format/by-path.ts";
import { FAMILIES, openModel } from "../../src/models/families.ts";
import type { RawConfig } from "../../src/models/family.ts";
import { Session } from "../../src/run/session.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { randomExamples } from "../passes/model-passes.ts";
import { buildTinyGguf, ggufValues } from "../tiny/gguf.ts";
import { tinyConfigOf } from "../tiny/configs.ts";
import { temporaryFolder, tinyModelParts, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { runTiny } from "../train/tiny-run.ts";
import { assertRefused, assertSays } from "./refusals.ts";

const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
const output = `${folder}/out`;

/** Settings of each family that graft does not implement, and what must be said. */
const UNLIKE: Readonly<Record<string, readonly (readonly [config: RawConfig, says: string])[]>> = {
  llama: [
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
    [{ hidden_size: 20 }, "hidden_size is 20 for num_attention_heads 4 (expected an even"],
  ],
  mistral: [[{ sliding_window: "wide" }, 'sliding_window is "wide"']],
  ministral: [
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ layer_types: ["full_attention", "chunked_attention"] }, 'layer_types.1 is "chunked_attention"'],
  ],
  qwen2: [[{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"]],
  qwen3: [[{ layer_types: ["full_attention", "chunked_attention"] }, 'layer_types.1 is "chunked_attention"']],
  qwen2_vl: [
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
    [{ attention_sinks: 4 }, "attention_sinks is 4"],
  ],
  qwen2_5_vl: [[{ text_config: "small" }, "text_config is missing"]],
  qwen3_vl: [[{ text_config: "small" }, "text_config is missing"]],
  idefics3: [
    [{ text_config: null }, "text_config is missing"],
    [{ text_config: { qk_layer_norms: true } }, "qk_layer_norms is true"],
  ],
  smolvlm: [[{ text_config: { pixel_norms: true } }, "pixel_norms is true"]],
  qwen2_moe: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ use_sliding_window: true }, "use_sliding_window is true"],
  ],
  qwen3_moe: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ use_sliding_window: true }, "use_sliding_window is true"],
  ],
  gemma: [
    [{ hidden_act: "silu" }, 'hidden_act is "silu"'],
    [{ hidden_activation: "gelu" }, 'hidden_activation is "gelu"'],
  ],
  gemma2: [
    [{ hidden_activation: "relu" }, 'hidden_activation is "relu"'],
    [{ layer_types: Array<string>(3).fill("full_attention") }, "layer_types has 3 entries (expected 2"],
  ],
  vaultgemma: [
    [{ attn_logit_softcapping: 0 }, "attn_logit_softcapping is 0"],
    [{ layer_types: Array<string>(3).fill("full_attention") }, "layer_types has 3 entries (expected 2"],
  ],
  gemma3_text: [[{ use_bidirectional_attention: true }, "use_bidirectional_attention is true"]],
  ministral3: [
    [
      { rope_parameters: { rope_type: "yarn", factor: 4 } },
      "its rotary settings have no llama_4_scaling_beta or original_max_position_embeddings",
    ],
  ],
  mistral3: [[{ text_config: "small" }, "text_config is missing"]],
  gemma4_text: [
    [
      { num_kv_shared_layers: 1 },
      "num_kv_shared_layers is 1 (expected fewer: a layer of each kind has keys of its own)",
    ],
    [{ hidden_size_per_layer_input: -1 }, "hidden_size_per_layer_input is -1"],
    [{ num_experts: null }, "enable_moe_block is true without num_experts, top_k_experts or"],
    [{ top_k_experts: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ use_bidirectional_attention: "all" }, 'use_bidirectional_attention is "all"'],
    [{ rope_theta: 10_000 }, "rope_theta is 10000"],
    [{ per_layer_config: { 1: { sliding_window: 4 } } }, "per_layer_config.1.sliding_window is"],
    [
      { num_hidden_layers: 3, layer_types: null, per_layer_config: { 1: { head_dim: 16 } } },
      "per_layer_config has unlike layers of sliding_attention",
    ],
  ],
  gemma4: [[{ text_config: "small" }, "text_config is missing"]],
  gemma4_unified: [[{ text_config: "small" }, "text_config is missing"]],
  gemma3: [[{ text_config: "small" }, "text_config is missing"]],
  gpt2: [
    [{ scale_attn_weights: false }, "scale_attn_weights is false"],
    [{ n_head: 5 }, "n_head is 5"],
  ],
  gpt_neo: [
    [{ attention_types: [[["global"], 3]] }, "kinds of attention are of 3 layers (expected num_layers, 2)"],
    [{ attention_types: [[["strided"], 2]] }, "attention_types"],
    [{ num_heads: 5 }, "num_heads is 5"],
  ],
  gpt_neox: [
    [{ hidden_act: "quick_gelu" }, 'hidden_act is "quick_gelu"'],
    [{ rotary_pct: 0.1 }, "partial_rotary_factor is 0.1 (expected a share of the heads' width 8"],
  ],
  opt: [
    [{ word_embed_proj_dim: 16 }, "word_embed_proj_dim is 16 (expected hidden_size, 32)"],
    [{ do_layer_norm_before: false }, "do_layer_norm_before is false"],
  ],
  granite: [[{ logits_scaling: 0 }, "logits_scaling is 0"]],
  granitemoe: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ num_local_experts: 0 }, "num_local_experts is 0"],
    [{ shared_intermediate_size: 8 }, "shared_intermediate_size is 8"],
  ],
  granitemoehybrid: [
    [{ layer_types: ["mamba", "mamba2"] }, 'layer_types.1 is "mamba2"'],
    [{ layer_types: ["mamba"] }, "layer_types has 1 entries (expected 2"],
    [{ mamba_n_groups: 2 }, "mamba_n_groups is 2"],
    [{ mamba_d_head: 5 }, "mamba_d_head is 5 (expected 2 times the width, cut into 4)"],
    [{ mamba_d_state: 2_000_000_000 }, "mamba_d_state is 2000000000"],
    [{ time_step_limit: [0.001, 0.1] }, "time_step_limit"],
    [
      { num_local_experts: 4, num_experts_per_tok: 5 },
      "num_experts_per_tok is 5 (expected at most num_experts, 4)",
    ],
  ],
  falcon_h1: [
    [{ mamba_d_head: 5 }, "mamba_d_head is 5 (expected 24, cut into 4)"],
    [{ mamba_n_groups: 3 }, "mamba_n_groups is 3 (expected a divisor of mamba_n_heads, 4)"],
    [{ ssm_multipliers: [1, 1, 1, 1] }, "ssm_multipliers"],
    [{ mlp_multipliers: 2 }, "mlp_multipliers is 2"],
    [{ mamba_use_mlp: false }, "mamba_use_mlp is false"],
    [{ attn_layer_indices: [0] }, "attn_layer_indices"],
    [{ time_step_limit: [0.001, 0.1] }, "time_step_limit"],
    [{ mamba_d_state: 2_000_000_000 }, "mamba_d_state is 2000000000"],
  ],
  lfm2: [
    [{ layer_types: ["conv"] }, "layer_types has 1 entries (expected 2"],
    [{ layer_types: ["conv", "sliding_attention"] }, 'layer_types.1 is "sliding_attention"'],
    [{ conv_L_cache: 1 }, "conv_L_cache is 1"],
    [{ conv_L_cache: 2_000_000_000 }, "conv_L_cache is 2000000000"],
    [{ norm_eps: 0 }, "norm_eps is 0"],
    [{ block_use_swiglu: false }, "block_use_swiglu is false"],
  ],
  lfm2_moe: [
    [{ num_experts_per_tok: 9 }, "num_experts_per_tok is 9 (expected at most num_experts, 4)"],
    [{ routed_scaling_factor: 0 }, "routed_scaling_factor is 0"],
    [{ block_ff_dim: 64 }, "block_ff_dim is 64"],
  ],
  deepseek_v2: [
    [{ head_dim: 8 }, "head_dim is 8 (expected 4, as other settings say)"],
    [{ num_key_value_heads: 2 }, "num_key_value_heads is 2 (expected 4"],
    [{ topk_method: "noaux_tc" }, 'topk_method is "noaux_tc"'],
    [{ norm_topk_prob: true }, "norm_topk_prob is true"],
    [{ moe_layer_freq: 2 }, "moe_layer_freq is 2"],
    [{ n_group: null }, "topk_group is 2 of n_group null"],
    [{ n_group: 4 }, "n_group is 4 for n_routed_experts 6"],
    [{ topk_group: 1 }, "n_group is 3 for n_routed_experts 6"],
    [{ num_experts_per_tok: 9 }, "n_group is 3"],
    [{ qk_rope_head_dim: 5 }, "partial_rotary_factor is 1"],
    [{ qk_nope_head_dim: 2_000_000_000 }, "qk_nope_head_dim is 2000000000"],
  ],
  deepseek_v3: [
    [{ topk_group: 4 }, "topk_group is 4 of n_group 3"],
    [{ n_group: 6 }, "n_group is 6 for n_routed_experts 6"],
    [{ scoring_func: "softmax" }, 'scoring_func is "softmax"'],
    [{ mlp_bias: true }, "mlp_bias is true"],
  ],
  glm4_moe_lite: [
    [{ mlp_layer_types: ["dense"] }, "mlp_layer_types has 1 entries (expected 2)"],
    [{ first_k_dense_replace: 2 }, "first_k_dense_replace is 2"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor is 0.5"],
  ],
  qwen3_5_text: [
    [{ layer_types: ["linear_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ layer_types: ["linear_attention", "conv"] }, 'layer_types.1 is "conv"'],
    [{ linear_num_key_heads: 3 }, "linear_num_key_heads is 3 (expected a divisor of 4)"],
    [{ linear_key_head_dim: 2_000_000_000 }, "linear_key_head_dim is 2000000000"],
    [{ linear_conv_kernel_dim: 1 }, "linear_conv_kernel_dim is 1"],
    [{ attn_output_gate: false }, "attn_output_gate is false"],
    [{ mlp_only_layers: [1] }, "mlp_only_layers"],
  ],
  qwen3_5_moe_text: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 3)"],
    [{ norm_topk_prob: false }, "norm_topk_prob is false"],
    [{ linear_num_key_heads: 3 }, "linear_num_key_heads is 3 (expected a divisor of 4)"],
  ],
  qwen3_5_moe: [[{ text_config: null }, "text_config is missing"]],
  qwen3_5: [[{ text_config: null }, "text_config is missing"]],
  ernie4_5: [[{ use_bias: 1 }, "use_bias is 1"]],
  exaone: [
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
    [{ num_layers: 3 }, "num_hidden_layers is 2 (unknown setting)"],
  ],
  ernie4_5_moe: [
    [{ moe_k: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ moe_gate: "sinkhorn" }, 'moe_gate is "sinkhorn"'],
    [{ moe_norm_min: 0 }, "moe_norm_min is 0"],
  ],
  exaone4: [
    [{ sliding_window_pattern: "LGLG" }, 'sliding_window_pattern is "LGLG"'],
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
  ],
  glm: [
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
    [{ partial_rotary_factor: 0.4 }, "partial_rotary_factor is 0.4 (expected a share of the heads' width 8"],
  ],
  glm4: [[{ hidden_act: "gelu" }, 'hidden_act is "gelu"']],
  hunyuan_v1_dense: [
    [{ use_cla: true }, "use_cla is true, expected false"],
    [{ rope_scaling: { rope_type: "linear", factor: 2, alpha: 50 } }, "alpha is not a setting"],
  ],
  arcee: [[{ hidden_act: "silu" }, 'hidden_act is "silu"']],
  seed_oss: [[{ hidden_act: "gelu" }, 'hidden_act is "gelu"']],
  nanochat: [
    [{ final_logit_softcapping: 0 }, "final_logit_softcapping is 0"],
    [{ hidden_act: "quick_gelu" }, 'hidden_act is "quick_gelu"'],
  ],
  "modernbert-decoder": [
    [{ local_attention: 1 }, "local_attention is 1"],
    [{ causal_mask: false }, "causal_mask is false"],
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
  ],
  apertus: [
    [{ hidden_act: "relu2" }, 'hidden_act is "relu2"'],
    [{ post_norm: true }, "post_norm is true"],
  ],
  helium: [[{ hidden_act: "gelu" }, 'hidden_act is "gelu"']],
  nemotron: [
    [{ norm_eps: 0 }, "norm_eps is 0"],
    [{ hidden_act: "quick_gelu" }, 'hidden_act is "quick_gelu"'],
  ],
  phi: [[{ qk_layernorm: true }, "qk_layernorm is true"]],
  phi3: [[{ attention_bias: true }, "attention_bias is true"]],
  smollm3: [[{ no_rope_layers: [1, 0, 1] }, "no_rope_layers has 3 entries (expected 2)"]],
  cohere: [[{ logit_scale: 0 }, "logit_scale is 0"]],
  cohere2: [
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ use_parallel_block: false }, "use_parallel_block is false, expected true"],
  ],
  stablelm: [[{ hidden_act: "gelu" }, 'hidden_act is "gelu"']],
  starcoder2: [[{ norm_type: "rms_norm" }, 'norm_type is "rms_norm"']],
  olmo: [[{ clip_qkv: 8 }, "clip_qkv is 8, expected null"]],
  mixtral: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 3)"],
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
  ],
  olmo2: [[{ hidden_act: "relu2" }, 'hidden_act is "relu2"']],
  olmo3: [
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ sliding_window: null }, "sliding_window is null"],
  ],
  olmoe: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ clip_qkv: 8 }, "clip_qkv is 8, expected null"],
  ],
  gpt_oss: [
    [{ num_experts_per_tok: 5 }, "num_experts_per_tok is 5 (expected at most num_experts, 4)"],
    [{ swiglu_limit: 0 }, "swiglu_limit is 0"],
    [{ sliding_window: null }, "sliding_window is null"],
    [{ layer_types: ["sliding_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ hidden_act: "gelu" }, 'hidden_act is "gelu"'],
    [{ router_bias: false }, "router_bias is false"],
  ],
  bert: [
    [{ id2label: {} }, "id2label is {} (expected at least two classes)"],
    [{ id2label: null, num_labels: 0 }, "num_labels is 0 (expected at least two classes)"],
    [{ id2label: {}, problem_type: "regression" }, "id2label is {} (expected at least one output)"],
    [
      { id2label: { 0: "LABEL_0" }, problem_type: "single_label_classification" },
      'id2label is {"0":"LABEL_0"} (expected at least two classes)',
    ],
    [
      { problem_type: "ranking" },
      'problem_type is "ranking" (expected "single_label_classification", "multi_label_classification", "regression")',
    ],
    [{ position_embedding_type: "relative_key" }, 'position_embedding_type is "relative_key"'],
    [{ architectures: ["BertForMaskedLM"] }, 'architectures is ["BertForMaskedLM"]'],
  ],
  roberta: [[{ is_decoder: true }, "is_decoder is true"]],
  "xlm-roberta": [[{ is_decoder: true }, "is_decoder is true"]],
  camembert: [[{ is_decoder: true }, "is_decoder is true"]],
  electra: [
    [{ embedding_size: 0 }, "embedding_size is 0"],
    [{ position_embedding_type: "relative_key" }, 'position_embedding_type is "relative_key"'],
    [{ architectures: ["ElectraForPreTraining"] }, 'architectures is ["ElectraForPreTraining"]'],
  ],
  "deberta-v2": [
    [{ attention_head_size: 4 }, "attention_head_size is 4 (expected 8)"],
    [{ conv_groups: 2 }, "conv_groups is 2"],
    [{ conv_kernel_size: 5 }, "conv_kernel_size is 5"],
    [{ norm_rel_ebd: "rms_norm" }, 'norm_rel_ebd is "rms_norm"'],
    [{ pooler_hidden_size: 16 }, "pooler_hidden_size is 16"],
    [{ pos_att_type: "p2p" }, 'pos_att_type is "p2p", expected c2p or p2c, or both'],
    [
      { position_buckets: 16 },
      "position_buckets is 16 (expected 4 at least, and less than two for each of 8",
    ],
    [{ architectures: ["DebertaV2ForMaskedLM"] }, 'architectures is ["DebertaV2ForMaskedLM"]'],
  ],
  mpnet: [
    [{ relative_attention_num_buckets: 16 }, "relative_attention_num_buckets is 16"],
    [{ type_vocab_size: 2 }, "type_vocab_size is 2"],
    [{ architectures: ["MPNetForMaskedLM"] }, 'architectures is ["MPNetForMaskedLM"]'],
  ],
  distilbert: [
    [{ activation: "quick_gelu" }, 'activation is "quick_gelu"'],
    [{ n_heads: 5 }, "n_heads is 5"],
    [{ architectures: ["DistilBertForMaskedLM"] }, 'architectures is ["DistilBertForMaskedLM"]'],
  ],
  modernbert: [
    [{ classifier_pooling: "max" }, 'classifier_pooling is "max"'],
    [{ num_attention_heads: 5 }, "num_attention_heads is 5"],
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries (expected 2"],
    [{ architectures: ["ModernBertForMaskedLM"] }, 'architectures is ["ModernBertForMaskedLM"]'],
  ],
  eurobert: [
    [{ classifier_pooling: "cls" }, 'classifier_pooling is "cls"'],
    [
      { classifier_pooling: "mean", clf_pooling: "late" },
      'clf_pooling is "late", expected classifier_pooling',
    ],
    [{ num_key_value_heads: 3 }, "num_key_value_heads is 3 (expected a divisor"],
    [{ num_attention_heads: 5 }, "num_attention_heads is 5, expected a divisor of the width"],
    [{ hidden_act: "quick_gelu" }, 'hidden_act is "quick_gelu"'],
    [{ architectures: ["EuroBertForMaskedLM"] }, 'architectures is ["EuroBertForMaskedLM"]'],
  ],
  vit: [
    [{ id2label: { 0: "LABEL_0" } }, 'id2label is {"0":"LABEL_0"} (expected at least two classes)'],
    [{ problem_type: "regression" }, 'problem_type is "regression" (expected "single_label_classification")'],
    [{ patch_size: 3 }, "patch_size is 3"],
    [{ hidden_act: "quick_gelu" }, 'hidden_act is "quick_gelu"'],
  ],
};

/** The settings of a family's text, changed. */
function changed(modelType: string, config: RawConfig): RawConfig {
  const tiny = tinyConfigOf(modelType);
  const text = tiny["text_config"] as RawConfig | undefined;
  if (!text || "text_config" in config) return { ...tiny, ...config };
  return { ...tiny, text_config: { ...text, ...config } };
}

describe("settings that graft does not implement", () => {
  for (const { modelType } of FAMILIES) {
    test(modelType, async () => {
      const own = UNLIKE[modelType];
      assert.ok(own, `Cannot test "${modelType}": add settings that it refuses to UNLIKE`);
      const quantized: RawConfig = { quantization_config: { quant_method: "gptq", bits: 4 } };
      const isRotated = openModel(tinyConfigOf(modelType)).layers[0]?.attention?.rope != null;
      const rotation: typeof own = [
        [
          { rope_scaling: { rope_type: "spiral", factor: 2 } },
          'rope scaling "spiral", expected one of default',
        ],
        [{ head_dim: 7 }, "head_dim is 7 (expected "],
      ];
      const all = [
        ...own,
        [quantized, 'quantization_config is {"quant_method":"gptq","bits":4} (unknown setting)'] as const,
        ...(isRotated ? rotation : []),
      ];
      for (const [config, says] of all) {
        assert.throws(
          () => openModel(changed(modelType, config)),
          (error) => {
            assertSays(error, { code: "usage/model", says: [says], hint: /config\.json/ });
            return true;
          },
        );
      }
      // Before anything is written, of whatever kind the data is.
      const path = await writeTinyModel(`${folder}/${modelType}-unlike`, { modelType });
      writeFileSync(`${path}/config.json`, JSON.stringify(changed(modelType, all[0]![0])));
      await assertRefused(
        { model: path, data, output },
        { code: "usage/model", says: [all[0]![1]], hint: /config\.json/ },
      );
    });
  }
});

test("a family of one's own that breaks its contract is refused by name, with what it returned", () => {
  const llama = FAMILIES.find(({ modelType }) => modelType === "llama")!;
  const config = tinyConfigOf("llama");
  const definition = llama.open(config);
  for (const [change, message] of [
    [null, /family "llama" returns: null, expected /],
    [{ layers: undefined }, /family "llama" returns: layers is missing/],
    [{ layers: [{}] }, /layers\.0 is .*expected a layer/],
    [{ head: 3 }, /head is 3, expected a function/],
    [{ stem: () => undefined }, /family "llama": stem\(\) returns undefined, expected \[B, T, 32\]/],
    [{ layers: [{ build: () => undefined }] }, /build\(\) of a layer returns undefined, expected/],
    [{ head: (_: object, x: object) => x }, /head\(\) returns \[N, 32\], expected \[N, 259\]/],
  ] as const) {
    const open = (): typeof definition => (change && { ...definition, ...change }) as typeof definition;
    assert.throws(() => openModel(config, [{ ...llama, open }]), { code: "usage/flag", message });
  }
});

test("what programs write into a configuration about themselves is no setting", () => {
  const ofPrograms = {
    _name_or_path: "here",
    _model_name_or_path: "a GGUF file's name",
    _commit_hash: "ab12",
  };
  for (const { modelType } of FAMILIES) {
    const [plain, opened] = [{}, ofPrograms].map((more) =>
      openModel({ ...tinyConfigOf(modelType), ...more }),
    );
    assert.deepEqual(opened!.tensors, plain!.tensors, modelType);
  }
});

describe("weights that do not fit the configuration", () => {
  for (const [what, modelType, name, shape, says] of [
    [
      "a fused projection of another number of heads",
      "phi3",
      "model.layers.0.self_attn.qkv_proj.weight",
      [96, 32],
      "qkv_proj.weight is [96, 32], expected [64, 32]",
    ],
    [
      "a fused gate of half its rows",
      "phi3",
      "model.layers.1.mlp.gate_up_proj.weight",
      [48, 32],
      "gate_up_proj.weight is [48, 32], expected [96, 32]",
    ],
    [
      "a matrix that lies the other way",
      "gpt2",
      "transformer.h.0.attn.c_attn.weight",
      [96, 32],
      "c_attn.weight is [96, 32], expected [32, 96]",
    ],
  ] as const) {
    test(what, async () => {
      const { config, tensors } = tinyModelParts({ modelType });
      assert.ok(tensors.has(name));
      const data32 = new Float32Array(shape[0] * shape[1]);
      const wrong = new Map([...tensors, [name, hostTensor("float32", shape, data32)] as const]);
      const model = `${folder}/${what.replaceAll(" ", "-")}`;
      const tokenizerFiles = byteTokenizerFiles();
      await writeModel(model, { config, tensors: wrong, generationConfig: null, tokenizerFiles });
      await assertRefused(
        { model, data, output },
        { code: "format/tensor", says: [says], hint: /config\.json/ },
      );
    });
  }

  test("a GGUF file of an architecture that graft lacks", async () => {
    const model = `${folder}/mamba.gguf`;
    writeFileSync(model, buildTinyGguf(ggufValues({ "general.architecture": "mamba" })));
    await assertRefused(
      { model, data, output },
      {
        code: "usage/model",
        says: ["mamba.gguf", "architecture mamba", "llama"],
        hint: /safetensors|families/,
      },
    );
  });
});

describe("rows that do not fit what the model is for", () => {
  test("a pair without its rejected answer", async () => {
    const model = await writeTinyModel(`${folder}/for-pairs`);
    const pairs = `${folder}/pairs.jsonl`;
    writeFileSync(pairs, '{"prompt":"a","chosen":"b","rejected":"c"}\n{"prompt":"a","chosen":"b"}\n');
    await assertRefused(
      { model, data: pairs, output, objective: "dpo" },
      { code: "usage/data", says: ["pairs.jsonl:2", "rejected"], hint: /./ },
    );
  });

  test("classes that the model does not have, by number and by name", async () => {
    const model = await writeTinyModel(`${folder}/for-classes`, { modelType: "bert" });
    for (const label of [3, -1, 0.5, "ugly"]) {
      const rows = `${folder}/classes.jsonl`;
      writeFileSync(rows, `{"text":"a","label":1}\n{"text":"b","label":${JSON.stringify(label)}}\n`);
      await assertRefused(
        { model, data: rows, output, maxLength: 32 },
        { code: "usage/data", says: [`label ${JSON.stringify(label)}`, '2 "neither"'], hint: /id2label/ },
      );
    }
  });
});

describe("adapters", () => {
  test("one for another family", async () => {
    const trained = `${folder}/of-llama`;
    await runTiny({ model: await writeTinyModel(`${folder}/llama`), data, output: trained, steps: 1 });
    for (const modelType of ["gpt2", "phi3", "bert"]) {
      const { base, checkpoint } = await loadModel(
        await writeTinyModel(`${folder}/for-${modelType}`, { modelType }),
      );
      await checkpoint.close();
      await assert.rejects(readAdapter(trained, base), (error) => {
        const says = [`adapter "${trained}"`, "no module matches"];
        assertSays(error, { code: "usage/target-modules", says, hint: /adapter_config\.json/ });
        return true;
      });
    }
  });
});

describe("texts longer than the model's positions", () => {
  for (const { modelType } of FAMILIES.filter(({ modelType }) => modelType !== "vit")) {
    test(modelType, async () => {
      const model = await writeTinyModel(`${folder}/long-${modelType}`, { modelType });
      const { base, checkpoint } = await loadModel(model);
      const { maxPositions, task } = base.model;
      await assertRefused(
        { model, data, output, maxLength: maxPositions + 1 },
        {
          code: "usage/flag",
          says: [`${maxPositions + 1} tokens`, `${maxPositions} positions`],
          hint: new RegExp(`at most ${maxPositions}`),
        },
      );
      const refusal = {
        code: "usage/length",
        says: [`${maxPositions + 1} tokens, expected at most ${maxPositions}`],
        hint: /[Ss]horten/,
      };
      const session = new Session(engine, base);
      const evaluator = await Evaluator.create(session, null);
      const isRefused = (error: unknown): boolean => {
        assertSays(error, refusal);
        return true;
      };
      if (task === "causal-lm") {
        await assert.rejects(evaluator.evaluate(randomExamples([4, maxPositions + 1])), isRefused);
        assert.ok((await evaluator.evaluate(randomExamples([maxPositions]))).loss > 0);
        const generator = await Generator.create({ session, adapter: null });
        const promptIds = Array<number>(maxPositions + 1).fill(3);
        await assert.rejects(generator.complete({ promptIds, maxNewTokens: 1 }), isRefused);
        const { ids } = await generator.complete({ promptIds: promptIds.slice(1), maxNewTokens: 4 });
        assert.equal(ids.length, 1);
      } else {
        const ids = new Int32Array(maxPositions + 1);
        const source = { file: "test", line: 1 };
        await assert.rejects(evaluator.evaluate([{ ids, source, label: 0, labelIndex: 0 }]), isRefused);
      }
      await session.release();
      await checkpoint.close();
    });
  }
});

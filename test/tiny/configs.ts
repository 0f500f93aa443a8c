/** @file config.json of a tiny model of each family, by its `model_type`, and other forms that models of it take. */
import type { RawConfig } from "../../src/models/family.ts";

/** What most decoders name alike. */
const SIZES = {
  vocab_size: 259,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};
const DECODER = {
  ...SIZES,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  hidden_act: "silu",
  eos_token_id: 257,
};
const GEMMA = {
  ...DECODER,
  head_dim: 8,
  query_pre_attn_scalar: 8,
  // Less than a test's rows have.
  sliding_window: 4,
  tie_word_embeddings: true,
  hidden_act: "gelu_pytorch_tanh",
};
const GEMMA3_TEXT = {
  ...GEMMA,
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  sliding_window_pattern: 2,
};
const ENCODER = {
  ...SIZES,
  hidden_act: "gelu",
  layer_norm_eps: 1e-12,
  id2label: { 0: "bad", 1: "good", 2: "neither" },
};

/** One of each family. */
export const TINY_CONFIGS: Readonly<Record<string, RawConfig>> = {
  llama: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    ...DECODER,
    tie_word_embeddings: true,
  },
  mistral: { architectures: ["MistralForCausalLM"], model_type: "mistral", ...DECODER, sliding_window: 4 },
  qwen2: {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    ...DECODER,
    use_sliding_window: true,
    sliding_window: 4,
    max_window_layers: 1,
  },
  qwen3: { architectures: ["Qwen3ForCausalLM"], model_type: "qwen3", ...DECODER, head_dim: 12 },
  qwen3_moe: {
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    ...DECODER,
    num_experts: 4,
    num_experts_per_tok: 2,
    moe_intermediate_size: 24,
    norm_topk_prob: true,
    mlp_only_layers: [0],
  },
  gemma: {
    architectures: ["GemmaForCausalLM"],
    model_type: "gemma",
    ...DECODER,
    head_dim: 12,
    tie_word_embeddings: true,
    hidden_act: "gelu",
  },
  gemma2: { architectures: ["Gemma2ForCausalLM"], model_type: "gemma2", ...GEMMA },
  gemma3_text: { architectures: ["Gemma3ForCausalLM"], model_type: "gemma3_text", ...GEMMA3_TEXT },
  gemma3: {
    architectures: ["Gemma3ForConditionalGeneration"],
    model_type: "gemma3",
    text_config: { model_type: "gemma3_text", ...GEMMA3_TEXT },
  },
  gpt2: {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    vocab_size: 259,
    n_positions: 512,
    n_embd: 32,
    n_layer: 2,
    n_head: 4,
    n_inner: 48,
    eos_token_id: 257,
  },
  gpt_neox: {
    architectures: ["GPTNeoXForCausalLM"],
    model_type: "gpt_neox",
    ...SIZES,
    max_position_embeddings: 512,
    hidden_act: "gelu",
    rotary_pct: 0.5,
    eos_token_id: 257,
  },
  granite: {
    architectures: ["GraniteForCausalLM"],
    model_type: "granite",
    ...DECODER,
    embedding_multiplier: 6,
    attention_multiplier: 0.2,
    residual_multiplier: 0.5,
    logits_scaling: 4,
    tie_word_embeddings: true,
  },
  phi3: {
    architectures: ["Phi3ForCausalLM"],
    model_type: "phi3",
    ...DECODER,
    partial_rotary_factor: 0.5,
    sliding_window: 4,
  },
  smollm3: {
    architectures: ["SmolLM3ForCausalLM"],
    model_type: "smollm3",
    ...DECODER,
    no_rope_layers: [1, 0],
    tie_word_embeddings: true,
  },
  starcoder2: {
    architectures: ["Starcoder2ForCausalLM"],
    model_type: "starcoder2",
    ...DECODER,
    norm_epsilon: 1e-5,
    hidden_act: "gelu_pytorch_tanh",
    sliding_window: 4,
    tie_word_embeddings: true,
  },
  olmo2: { architectures: ["Olmo2ForCausalLM"], model_type: "olmo2", ...DECODER },
  olmoe: {
    architectures: ["OlmoeForCausalLM"],
    model_type: "olmoe",
    ...DECODER,
    num_experts: 4,
    num_experts_per_tok: 2,
  },
  bert: {
    architectures: ["BertForSequenceClassification"],
    model_type: "bert",
    ...ENCODER,
    max_position_embeddings: 64,
    pad_token_id: 0,
  },
  roberta: {
    architectures: ["RobertaForSequenceClassification"],
    model_type: "roberta",
    ...ENCODER,
    max_position_embeddings: 66,
    type_vocab_size: 2,
    pad_token_id: 1,
  },
  "xlm-roberta": {
    architectures: ["XLMRobertaForSequenceClassification"],
    model_type: "xlm-roberta",
    ...ENCODER,
    max_position_embeddings: 68,
    type_vocab_size: 1,
    pad_token_id: 1,
  },
  vit: {
    architectures: ["ViTForImageClassification"],
    model_type: "vit",
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    image_size: 8,
    patch_size: 4,
    num_channels: 1,
    layer_norm_eps: 1e-12,
    hidden_act: "gelu",
    qkv_bias: true,
    id2label: { 0: "bar", 1: "cross", 2: "ring", 3: "dot", 4: "checks" },
  },
};

/** What methods are tried on, as changes of the tiny configuration. */
export const TINY_FORMS: Readonly<Record<string, Readonly<Record<string, RawConfig>>>> = {
  llama: {
    plain: { tie_word_embeddings: false },
    "with biases and a tied head": { attention_bias: true, mlp_bias: true },
  },
  vit: { plain: { qkv_bias: false }, "with biases": {} },
};

/** @file Configurations as they are published, with keys that transformers does not read and without those it has a default for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withClasses } from "./config/class-head.ts";
import { openModel } from "./families.ts";
import type { RawConfig } from "./config/raw-config.ts";
import type { Model } from "./model.ts";
import { keyWidth } from "./model-layer.ts";

const numParametersOf = ({ tensors }: Pick<Model, "tensors">): number =>
  [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );

const GPT2 = {
  activation_function: "gelu_new",
  architectures: ["GPT2LMHeadModel"],
  layer_norm_epsilon: 1e-5,
  model_type: "gpt2",
  n_ctx: 1024,
  n_embd: 768,
  n_head: 12,
  n_layer: 6,
  n_positions: 1024,
  vocab_size: 50257,
};
const LLAMA_SIZES = {
  hidden_size: 256,
  intermediate_size: 512,
  num_attention_heads: 4,
  num_hidden_layers: 4,
  vocab_size: 32000,
};

test("Gemma 3 of 4B: its text part holds what differs from the defaults of transformers", () => {
  const { layers, width, numOutputs, ties, maxPositions } = openModel({
    architectures: ["Gemma3ForConditionalGeneration"],
    boi_token_index: 255_999,
    eos_token_id: [1, 106],
    image_token_index: 262_144,
    mm_tokens_per_image: 256,
    model_type: "gemma3",
    text_config: {
      hidden_size: 2560,
      intermediate_size: 10_240,
      model_type: "gemma3_text",
      num_hidden_layers: 34,
      rope_scaling: { factor: 8, rope_type: "linear" },
      sliding_window: 1024,
    },
    vision_config: { model_type: "siglip_vision_model" },
  });
  assert.deepEqual([layers.length, width, numOutputs, maxPositions], [34, 2560, 262_208, 131_072]);
  assert.equal(ties.size, 1);
  const [windowed, full] = [layers[0]?.attention, layers[5]?.attention];
  assert.deepEqual([windowed?.numHeads, windowed?.numKeyValueHeads, windowed?.headWidth], [8, 4, 256]);
  assert.deepEqual([windowed?.window, full?.window], [1024, null]);
  assert.deepEqual(windowed?.rope, { theta: 10_000, width: 256, scaling: { kind: "none" } });
  assert.deepEqual(full?.rope, { theta: 1_000_000, width: 256, scaling: { kind: "linear", factor: 8 } });
});

test("Pythia and its kin name rotary settings in their own way, and some run branches one after another", () => {
  const pythia = {
    architectures: ["GPTNeoXForCausalLM"],
    bos_token_id: 0,
    eos_token_id: 0,
    hidden_act: "gelu",
    hidden_size: 128,
    initializer_range: 0.02,
    intermediate_size: 512,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 2048,
    model_type: "gpt_neox",
    num_attention_heads: 4,
    num_hidden_layers: 6,
    rotary_emb_base: 10_000,
    rotary_pct: 0.25,
    tie_word_embeddings: false,
    use_cache: true,
    use_parallel_residual: true,
    vocab_size: 50_304,
  };
  const { layers, ties, settings } = openModel(pythia);
  assert.deepEqual(layers[0]?.attention?.rope, { theta: 10_000, width: 8, scaling: { kind: "none" } });
  assert.equal(ties.size, 0);
  assert.equal(settings["rms_norm_eps"], 1e-5);
  const { rotary_pct: _share, rotary_emb_base: _theta, ...others } = pythia;
  assert.deepEqual(openModel(others).layers[0]?.attention?.rope, layers[0]?.attention?.rope);
  // GPT-NeoX-20B, RedPajama-INCITE and Dolly 2.
  assert.ok(openModel({ ...pythia, hidden_act: "gelu_fast", attention_probs_dropout_prob: 0 }).numLayers > 0);
  const inTurn = openModel({ ...pythia, use_parallel_residual: false, custom_pipelines: {} });
  assert.deepEqual(
    inTurn.layers[0]?.branches.map(({ name }) => name),
    ["attention", "mlp"],
  );
});

test("DistilBERT has names of its own for sizes, and peft holds both layers of its head whole", () => {
  const config = {
    activation: "gelu",
    architectures: ["DistilBertForSequenceClassification"],
    attention_dropout: 0.1,
    dim: 768,
    dropout: 0.1,
    finetuning_task: "sst-2",
    hidden_dim: 3072,
    id2label: { 0: "NEGATIVE", 1: "POSITIVE" },
    initializer_range: 0.02,
    label2id: { NEGATIVE: 0, POSITIVE: 1 },
    max_position_embeddings: 512,
    model_type: "distilbert",
    n_heads: 12,
    n_layers: 6,
    output_past: true,
    pad_token_id: 0,
    qa_dropout: 0.1,
    seq_classif_dropout: 0.2,
    sinusoidal_pos_embds: false,
    tie_weights_: true,
    vocab_size: 30_522,
  };
  const { layers, width, numOutputs, headModules } = openModel(config);
  assert.deepEqual([layers.length, width, numOutputs], [6, 768, 2]);
  assert.deepEqual(headModules, ["pre_classifier", "classifier"]);
});

test("CamemBERT, and ELECTRA with tables narrower than the model or as wide, given classes", () => {
  const camembert = {
    architectures: ["CamembertForMaskedLM"],
    attention_probs_dropout_prob: 0.1,
    bos_token_id: 5,
    eos_token_id: 6,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: 768,
    initializer_range: 0.02,
    intermediate_size: 3072,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 514,
    model_type: "camembert",
    num_attention_heads: 12,
    num_hidden_layers: 12,
    output_past: true,
    pad_token_id: 1,
    type_vocab_size: 1,
    vocab_size: 32_005,
  };
  const french = withClasses(camembert, ["bad", "good"]);
  assert.deepEqual(french["architectures"], ["CamembertForSequenceClassification"]);
  assert.equal(openModel(french).maxPositions, 512);
  const electra = {
    architectures: ["ElectraForPreTraining"],
    attention_probs_dropout_prob: 0.1,
    embedding_size: 128,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: 256,
    initializer_range: 0.02,
    intermediate_size: 1024,
    layer_norm_eps: 1e-12,
    max_position_embeddings: 512,
    model_type: "electra",
    num_attention_heads: 4,
    num_hidden_layers: 12,
    pad_token_id: 0,
    summary_activation: "gelu",
    summary_last_dropout: 0.1,
    summary_type: "first",
    summary_use_proj: true,
    type_vocab_size: 2,
    vocab_size: 30_522,
  };
  const base = { ...electra, embedding_size: 768, hidden_size: 768, num_attention_heads: 12 };
  for (const [config, embedded] of [
    [electra, 128],
    [base, 768],
  ] as const) {
    const { embedding, tensors, width, headModules } = openModel(withClasses(config, ["bad", "good"]));
    assert.equal(embedding?.outFeatures, embedded);
    assert.equal(tensors.has("electra.embeddings_project.weight"), embedded !== width);
    assert.deepEqual(headModules, ["classifier"]);
  }
});

test("DeBERTa v3 and v2, whose files name no class, and as transformers 4 saves a classifier of it", () => {
  const v3 = {
    attention_probs_dropout_prob: 0.1,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: 768,
    initializer_range: 0.02,
    intermediate_size: 3072,
    layer_norm_eps: 1e-7,
    max_position_embeddings: 512,
    max_relative_positions: -1,
    model_type: "deberta-v2",
    norm_rel_ebd: "layer_norm",
    num_attention_heads: 12,
    num_hidden_layers: 12,
    pos_att_type: "p2c|c2p",
    position_biased_input: false,
    position_buckets: 256,
    relative_attention: true,
    share_att_key: true,
    type_vocab_size: 0,
    vocab_size: 128_100,
  };
  const given = withClasses(v3, ["entailment", "neutral", "contradiction"]);
  assert.deepEqual(given["architectures"], ["DebertaV2ForSequenceClassification"]);
  const { tensors, layers, maxPositions, headModules } = openModel(given);
  assert.deepEqual(tensors.get("deberta.encoder.rel_embeddings.weight")?.shape, [512, 768]);
  assert.equal(tensors.get("deberta.encoder.LayerNorm.bias")?.layer, null);
  assert.ok(!tensors.has("deberta.embeddings.position_embeddings.weight"));
  assert.deepEqual([layers.length, maxPositions, headModules], [12, 512, ["classifier"]]);
  assert.equal(layers[0]?.attention?.scale, (3 * 64) ** -0.5);
  const xlarge = {
    ...v3,
    attention_head_size: 64,
    conv_act: "gelu",
    conv_kernel_size: 3,
    hidden_size: 1536,
    intermediate_size: 6144,
    num_attention_heads: 24,
    num_hidden_layers: 24,
  };
  const large = openModel(withClasses(xlarge, ["bad", "good"]));
  assert.deepEqual(large.tensors.get("deberta.encoder.conv.conv.weight")?.shape, [1536, 1536, 3]);
  assert.notEqual(large.layers[0]?.kind, large.layers[1]?.kind);
  const saved = {
    ...v3,
    _name_or_path: "microsoft/deberta-v3-base",
    architectures: ["DebertaV2ForSequenceClassification"],
    id2label: { 0: "entailment", 1: "neutral", 2: "contradiction" },
    label2id: { contradiction: 2, entailment: 0, neutral: 1 },
    legacy: true,
    pad_token_id: 0,
    pooler_dropout: 0,
    pooler_hidden_act: "gelu",
    pooler_hidden_size: 768,
    pos_att_type: ["p2c", "c2p"],
    torch_dtype: "float32",
    transformers_version: "4.48.0",
  };
  assert.deepEqual([...openModel(saved).tensors], [...tensors]);
});

test("MPNet, as sentences are embedded by it, given classes", () => {
  const config = {
    _name_or_path: "microsoft/mpnet-base",
    architectures: ["MPNetForMaskedLM"],
    attention_probs_dropout_prob: 0.1,
    bos_token_id: 0,
    eos_token_id: 2,
    hidden_act: "gelu",
    hidden_dropout_prob: 0.1,
    hidden_size: 768,
    initializer_range: 0.02,
    intermediate_size: 3072,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 514,
    model_type: "mpnet",
    num_attention_heads: 12,
    num_hidden_layers: 12,
    pad_token_id: 1,
    relative_attention_num_buckets: 32,
    transformers_version: "4.8.2",
    vocab_size: 30_527,
  };
  const given = withClasses(config, ["bad", "good"]);
  assert.deepEqual(given["architectures"], ["MPNetForSequenceClassification"]);
  const { tensors, maxPositions, headModules } = openModel(given);
  assert.deepEqual(tensors.get("mpnet.encoder.relative_attention_bias.weight")?.shape, [32, 12]);
  assert.deepEqual([maxPositions, headModules], [512, ["classifier"]]);
});

test("OPT of 125M, and Galactica, which names more", () => {
  const config = {
    _remove_final_layer_norm: false,
    activation_dropout: 0,
    activation_function: "relu",
    architectures: ["OPTForCausalLM"],
    do_layer_norm_before: true,
    dropout: 0.1,
    ffn_dim: 3072,
    hidden_size: 768,
    init_std: 0.02,
    layerdrop: 0,
    max_position_embeddings: 2048,
    model_type: "opt",
    num_attention_heads: 12,
    num_hidden_layers: 12,
    prefix: "</s>",
    vocab_size: 50_272,
    word_embed_proj_dim: 768,
  };
  const { ties, tensors } = openModel(config);
  assert.equal(ties.size, 1);
  assert.deepEqual(tensors.get("model.decoder.embed_positions.weight")?.shape, [2050, 768]);
  const more = { activation_function: "gelu", learned_embeddings: true, scale_embeddings: false };
  assert.ok(openModel({ ...config, ...more }).numLayers > 0);
});

test("GPT-Neo of 125M, and of TinyStories, every second layer of which has a window", () => {
  const config = {
    activation_function: "gelu_new",
    architectures: ["GPTNeoForCausalLM"],
    attention_dropout: 0,
    attention_types: [[["global", "local"], 6]],
    bos_token_id: 50_256,
    embed_dropout: 0,
    eos_token_id: 50_256,
    gradient_checkpointing: false,
    hidden_size: 768,
    initializer_range: 0.02,
    intermediate_size: null,
    layer_norm_epsilon: 1e-5,
    max_position_embeddings: 2048,
    model_type: "gpt_neo",
    num_heads: 12,
    num_layers: 12,
    resid_dropout: 0,
    summary_type: "cls_index",
    vocab_size: 50_257,
    window_size: 256,
  };
  const { layers, ties } = openModel(config);
  assert.equal(ties.size, 1);
  assert.deepEqual(
    layers.slice(0, 3).map(({ attention }) => [attention?.window, attention?.scale, attention?.rope]),
    [
      [null, 1, null],
      [256, 1, null],
      [null, 1, null],
    ],
  );
  assert.throws(() => openModel({ ...config, num_layers: 4 }), /kinds of attention are of 12 layers/);
  const oneByOne = { ...config, num_layers: 2, attention_layers: ["local", "global"] };
  assert.deepEqual(
    openModel(oneByOne).layers.map(({ attention }) => attention?.window),
    [256, null],
  );
});

test("Granite 4 of 350M, which counts no experts", () => {
  const config = {
    architectures: ["GraniteMoeHybridForCausalLM"],
    attention_bias: false,
    attention_multiplier: 0.015625,
    embedding_multiplier: 12,
    hidden_act: "silu",
    hidden_size: 1024,
    init_method: "mup",
    intermediate_size: 2048,
    layer_types: Array.from({ length: 28 }, () => "attention"),
    logits_scaling: 4,
    mamba_chunk_size: 256,
    mamba_conv_bias: true,
    mamba_d_conv: 4,
    mamba_d_head: 16,
    mamba_d_state: 256,
    mamba_expand: 2,
    mamba_n_groups: 1,
    mamba_n_heads: 128,
    mamba_proj_bias: false,
    max_position_embeddings: 32_768,
    model_type: "granitemoehybrid",
    normalization_function: "rmsnorm",
    num_attention_heads: 16,
    num_experts_per_tok: 0,
    num_hidden_layers: 28,
    num_key_value_heads: 4,
    num_local_experts: 0,
    output_router_logits: false,
    position_embedding_type: "rope",
    residual_multiplier: 0.263,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 10_000_000,
    router_aux_loss_coef: 0.01,
    shared_intermediate_size: 2048,
    tie_word_embeddings: true,
    vocab_size: 100_352,
  };
  const { layers, tensors } = openModel(config);
  assert.deepEqual([layers[0]!.attention?.scale, layers[0]!.attention?.rope?.theta], [0.015625, 1e7]);
  const rotated = openModel({ ...config, position_embedding_type: "nope" }).layers[0]!.attention?.rope;
  assert.equal(rotated, null);
  assert.deepEqual(tensors.get("model.layers.0.shared_mlp.input_linear.weight")?.shape, [4096, 1024]);
});

test("Phi-2 rotates two fifths of each head, and has biases in its head", () => {
  const config = {
    architectures: ["PhiForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 50_256,
    embd_pdrop: 0,
    eos_token_id: 50_256,
    hidden_act: "gelu_new",
    hidden_size: 2560,
    initializer_range: 0.02,
    intermediate_size: 10_240,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 2048,
    model_type: "phi",
    num_attention_heads: 32,
    num_hidden_layers: 32,
    num_key_value_heads: 32,
    partial_rotary_factor: 0.4,
    qk_layernorm: false,
    resid_pdrop: 0.1,
    rope_scaling: null,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    vocab_size: 51_200,
  };
  const { layers, tensors, ties } = openModel(config);
  assert.deepEqual(layers[0]?.attention?.rope, { theta: 10_000, width: 32, scaling: { kind: "none" } });
  assert.deepEqual(tensors.get("lm_head.bias")?.shape, [51_200]);
  assert.equal(ties.size, 0);
  // Phi-1.5 leaves out what is transformers' default, and shares no keys.
  const { hidden_act: _act, partial_rotary_factor: _share, ...others } = config;
  const first = { ...others, hidden_size: 2048, intermediate_size: 8192, num_key_value_heads: null };
  assert.equal(openModel(first).layers[0]?.attention?.rope?.width, 32);
});

test("Command R7B names settings of its own code, Command R the positions that it was trained on", () => {
  const sizes = {
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 5,
    eos_token_id: 255_001,
    hidden_act: "silu",
    initializer_range: 0.02,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 8192,
    num_hidden_layers: 8,
    pad_token_id: 0,
    vocab_size: 256_000,
  };
  const small = openModel({
    ...sizes,
    architectures: ["Cohere2ForCausalLM"],
    cache_implementation: "hybrid",
    head_dim: 128,
    hidden_size: 4096,
    intermediate_size: 14_336,
    layer_switch: 4,
    logit_scale: 0.25,
    model_type: "cohere2",
    num_attention_heads: 32,
    num_key_value_heads: 8,
    order_of_interleaved_layers: "local_attn_first",
    position_embedding_type: "rope_gptj",
    rope_scaling: null,
    rope_theta: 50_000,
    rotary_pct: 1,
    sliding_window: 4096,
    sliding_window_pattern: 4,
    use_embedding_sharing: true,
    use_gated_activation: true,
    use_parallel_block: true,
    use_parallel_embedding: false,
    use_qk_norm: false,
  });
  assert.deepEqual(
    small.layers.slice(0, 4).map(({ attention }) => [attention?.window, attention?.rope?.theta]),
    [0, 1, 2, 3].map((layer) => (layer < 3 ? [4096, 50_000] : [null, undefined])),
  );
  assert.equal(small.ties.size, 1);
  const large = openModel({
    ...sizes,
    architectures: ["CohereForCausalLM"],
    hidden_size: 12_288,
    intermediate_size: 33_792,
    logit_scale: 0.8333333333333334,
    model_max_length: 131_072,
    model_type: "cohere",
    num_attention_heads: 96,
    num_key_value_heads: 8,
    rope_theta: 75_000_000,
    use_qk_norm: true,
  });
  assert.equal(large.maxPositions, 131_072);
  assert.deepEqual(large.tensors.get("model.layers.0.self_attn.k_norm.weight")?.shape, [8, 128]);
});

test("StableLM 2 of 1.6B has biases, of 12B a norm for each head and branches that read one norm", () => {
  const config = {
    architectures: ["StableLmForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 100_257,
    eos_token_id: 100_257,
    hidden_act: "silu",
    hidden_dropout: 0,
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 5632,
    layer_norm_eps: 1e-5,
    max_position_embeddings: 4096,
    model_type: "stablelm",
    num_attention_heads: 32,
    num_hidden_layers: 2,
    num_key_value_heads: 32,
    partial_rotary_factor: 0.25,
    qk_layernorm: false,
    rope_scaling: null,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    use_parallel_residual: false,
    use_qkv_bias: true,
    vocab_size: 100_352,
  };
  const { layers, tensors } = openModel(config);
  assert.equal(layers[0]?.attention?.rope?.width, 16);
  assert.ok(tensors.has("model.layers.0.self_attn.k_proj.bias"));
  assert.ok(!tensors.has("model.layers.0.self_attn.o_proj.bias"));
  const large = openModel({
    ...config,
    hidden_size: 5120,
    intermediate_size: 13_824,
    num_key_value_heads: 8,
    qk_layernorm: true,
    use_parallel_residual: true,
    use_qkv_bias: false,
  });
  assert.deepEqual(large.tensors.get("model.layers.1.self_attn.k_layernorm.norms.7.weight")?.shape, [160]);
  assert.ok(!large.tensors.has("model.layers.1.post_attention_layernorm.weight"));
});

test("Phi-4 mini names settings of its own code", () => {
  const factors = Array<number>(24).fill(1);
  const config = {
    ...LLAMA_SIZES,
    architectures: ["Phi3ForCausalLM"],
    full_attn_mod: 1,
    hidden_size: 512,
    interpolate_factor: 1,
    lm_head_bias: false,
    max_position_embeddings: 131_072,
    mlp_bias: false,
    model_type: "phi3",
    num_attention_heads: 8,
    original_max_position_embeddings: 4096,
    partial_rotary_factor: 0.75,
    rope_scaling: { long_factor: factors, short_factor: factors, type: "longrope" },
    sliding_window: 262_144,
    tie_word_embeddings: true,
  };
  assert.equal(openModel(config).layers[0]?.attention?.rope?.width, 48);
  assert.throws(() => openModel({ ...config, lm_head_bias: true }), /lm_head_bias is true, expected false/);
});

test("a part of each head is rotated in pairs of columns, and in the family that knows parts", () => {
  const parts = (modelType: string, share: number): RawConfig => ({
    ...LLAMA_SIZES,
    model_type: modelType,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    rope_parameters: { partial_rotary_factor: share, rope_theta: 10_000, rope_type: "default" },
  });
  assert.equal(openModel(parts("phi3", 0.75)).layers[0]?.attention?.rope?.width, 24);
  assert.throws(
    () => openModel(parts("phi3", 0.6)),
    /partial_rotary_factor is 0.6 \(expected a share of the heads' width 32 that is an even number\)/,
  );
  for (const modelType of ["llama", "gemma2", "qwen3"]) {
    assert.throws(
      () => openModel(parts(modelType, 0.5)),
      /partial_rotary_factor is 0.5 \(expected 1: heads of this family are rotated as a whole\)/,
    );
  }
});

test("SmolLM3 leaves out that its head is the embedding, and has other settings of a parallel training", () => {
  const config = {
    ...LLAMA_SIZES,
    model_type: "smollm3",
    no_rope_layers: [1, 1, 1, 0],
    pretraining_tp: 2,
  };
  assert.equal(openModel(config).ties.size, 1);
  const rope = { theta: 2_000_000, width: 64, scaling: { kind: "none" } };
  assert.deepEqual(openModel(config).layers[0]?.attention?.rope, rope);
});

test("files may name what no model reads", () => {
  const identity = "torch.nn.modules.linear.Identity";
  const classifier = { ...LLAMA_SIZES, architectures: ["BertForSequenceClassification"], model_type: "bert" };
  const unread: readonly RawConfig[] = [
    { ...LLAMA_SIZES, model_type: "llama", activation: "swiglu" },
    { ...LLAMA_SIZES, model_type: "starcoder2", activation_function: "gelu" },
    { ...classifier, sentence_transformers: { activation_fn: identity, version: "4.1.0.dev0" } },
    { ...classifier, sbert_ce_default_activation_function: identity },
    {
      ...LLAMA_SIZES,
      model_type: "qwen2",
      num_key_value_heads: 4,
      qkv_bias: true,
      rotary_emb_base: 1_000_000,
      seq_length: 65_536,
      dual_chunk_attention_config: {
        chunk_size: 262_144,
        local_size: 8192,
        original_max_position_embeddings: 262_144,
      },
    },
    { ...GPT2, _num_labels: 1, id2label: { 0: "LABEL_0" }, label2id: { LABEL_0: 0 } },
    { ...GPT2, n_special: 0, output_past: true, predict_special_tokens: true },
    { ...LLAMA_SIZES, model_type: "llama", max_sequence_length: 2048, pretraining_tp: 2 },
    { ...LLAMA_SIZES, model_type: "gemma2", sliding_window: 4096, sliding_window_size: 4096 },
    {
      ...LLAMA_SIZES,
      architectures: ["BertForSequenceClassification"],
      model_type: "bert",
      directionality: "bidi",
      pooler_fc_size: 768,
      pooler_num_attention_heads: 12,
      pooler_num_fc_layers: 3,
      pooler_size_per_head: 128,
      pooler_type: "first_token_transform",
    },
  ];
  for (const config of unread) assert.ok(openModel(config).numLayers > 0);
});

test("Stanford's GPT-2 divides scores by the number of the layer too", () => {
  const scalesOf = (more: RawConfig): unknown[] =>
    openModel({ ...GPT2, n_layer: 3, ...more }).layers.map(({ attention }) => attention?.scale);
  assert.deepEqual(scalesOf({}), [1 / 8, 1 / 8, 1 / 8]);
  assert.deepEqual(scalesOf({ scale_attn_by_inverse_layer_idx: true }), [1 / 8, 1 / 16, 1 / 24]);
});

test("Mixtral 8x7B: eight experts in each layer, no window", () => {
  const { layers, tensors, maxPositions } = openModel({
    architectures: ["MixtralForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: "silu",
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 14_336,
    max_position_embeddings: 32_768,
    model_type: "mixtral",
    num_attention_heads: 32,
    num_experts_per_tok: 2,
    num_hidden_layers: 32,
    num_key_value_heads: 8,
    num_local_experts: 8,
    output_router_logits: false,
    rms_norm_eps: 1e-5,
    rope_theta: 1_000_000,
    router_aux_loss_coef: 0.02,
    sliding_window: null,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.36.0.dev0",
    use_cache: true,
    vocab_size: 32_000,
  });
  assert.deepEqual([layers.length, maxPositions, layers[0]?.attention?.window], [32, 32_768, null]);
  const sizes = [...tensors.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    46_702_792_704,
  );
  const down = tensors.get("model.layers.31.block_sparse_moe.experts.7.w2.weight");
  assert.deepEqual(down?.shape, [4096, 14_336]);
});

test("Ministral 8B: a layer without a window, then three with one", () => {
  const pattern = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"];
  const { layers } = openModel({
    architectures: ["MinistralForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 12_288,
    layer_types: Array.from({ length: 36 }, (_, layer) => pattern[layer % 4]),
    max_position_embeddings: 32_768,
    model_type: "ministral",
    num_attention_heads: 32,
    num_hidden_layers: 36,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 100_000_000,
    sliding_window: 32_768,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.57.0",
    use_cache: true,
    vocab_size: 131_072,
  });
  assert.deepEqual(
    layers.slice(0, 5).map(({ attention }) => attention?.window),
    [null, 32_768, 32_768, 32_768, null],
  );
});

test("Qwen 1.5 with experts names a window that it does not use, and one expert that all tokens share", () => {
  const config = {
    architectures: ["Qwen2MoeForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 151_643,
    decoder_sparse_step: 1,
    eos_token_id: 151_643,
    hidden_act: "silu",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 5632,
    max_position_embeddings: 8192,
    max_window_layers: 21,
    model_type: "qwen2_moe",
    moe_intermediate_size: 1408,
    norm_topk_prob: false,
    num_attention_heads: 16,
    num_experts: 60,
    num_experts_per_tok: 4,
    num_hidden_layers: 2,
    num_key_value_heads: 16,
    output_router_logits: false,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    router_aux_loss_coef: 0.001,
    shared_expert_intermediate_size: 5632,
    sliding_window: 32_768,
    tie_word_embeddings: false,
    use_sliding_window: false,
    vocab_size: 151_936,
  };
  const { layers, tensors } = openModel(config);
  assert.equal(layers[0]?.attention?.window, null);
  assert.deepEqual(tensors.get("model.layers.1.mlp.shared_expert_gate.weight")?.shape, [1, 2048]);
  assert.deepEqual(tensors.get("model.layers.1.mlp.shared_expert.down_proj.weight")?.shape, [2048, 5632]);
});

test("ModernBERT of 149 million: every third layer sees all, the others 64 tokens to each side, the mean tells the class", () => {
  const config = {
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 50_281,
    classifier_activation: "gelu",
    classifier_bias: false,
    classifier_dropout: 0,
    classifier_pooling: "mean",
    cls_token_id: 50_281,
    decoder_bias: true,
    deterministic_flash_attn: false,
    embedding_dropout: 0,
    eos_token_id: 50_282,
    global_attn_every_n_layers: 3,
    global_rope_theta: 160_000,
    gradient_checkpointing: false,
    hidden_activation: "gelu",
    hidden_size: 768,
    initializer_cutoff_factor: 2,
    initializer_range: 0.02,
    intermediate_size: 1152,
    layer_norm_eps: 1e-5,
    local_attention: 128,
    local_rope_theta: 10_000,
    max_position_embeddings: 8192,
    mlp_bias: false,
    mlp_dropout: 0,
    model_type: "modernbert",
    norm_bias: false,
    norm_eps: 1e-5,
    num_attention_heads: 12,
    num_hidden_layers: 22,
    pad_token_id: 50_283,
    position_embedding_type: "absolute",
    reference_compile: true,
    repad_logits_with_grad: false,
    sep_token_id: 50_282,
    sparse_pred_ignore_index: -100,
    sparse_prediction: false,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    transformers_version: "4.47.0.dev0",
    vocab_size: 50_368,
  };
  const { layers, tensors, maxPositions } = openModel({
    ...config,
    architectures: ["ModernBertForSequenceClassification"],
  });
  const seen = layers.slice(0, 4).map(({ attention }) => [attention?.window, attention?.rope?.theta]);
  assert.deepEqual(seen, [
    [null, 160_000],
    [65, 10_000],
    [65, 10_000],
    [null, 160_000],
  ]);
  assert.equal(maxPositions, 8192);
  assert.ok(
    !tensors.has("model.layers.0.attn_norm.weight") && tensors.has("model.layers.1.attn_norm.weight"),
  );
  const sizes = [...tensors.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    149_606_402,
  );
  assert.throws(
    () => openModel({ ...config, architectures: ["ModernBertForMaskedLM"] }),
    /architectures is \["ModernBertForMaskedLM"\]/,
  );
});

test("EuroBERT of 210 and 610 million and 2.1 billion, as its own code wrote them, given classes", () => {
  const config = {
    architectures: ["EuroBertForMaskedLM"],
    attention_bias: false,
    attention_dropout: 0,
    auto_map: {
      AutoConfig: "configuration_eurobert.EuroBertConfig",
      AutoModelForMaskedLM: "modeling_eurobert.EuroBertForMaskedLM",
    },
    bos_token: "<|begin_of_text|>",
    bos_token_id: 128_000,
    clf_pooling: "late",
    eos_token: "<|end_of_text|>",
    eos_token_id: 128_001,
    head_dim: 64,
    hidden_act: "silu",
    hidden_dropout: 0,
    hidden_size: 768,
    initializer_range: 0.02,
    intermediate_size: 3072,
    mask_token: "<|mask|>",
    mask_token_id: 128_002,
    max_position_embeddings: 8192,
    mlp_bias: false,
    model_type: "eurobert",
    num_attention_heads: 12,
    num_hidden_layers: 12,
    num_key_value_heads: 12,
    pad_token: "<|end_of_text|>",
    pad_token_id: 128_001,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 250_000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.40.0.dev0",
    use_cache: false,
    vocab_size: 128_256,
  };
  const shared = { ...config, num_attention_heads: 18, num_key_value_heads: 6, head_dim: null };
  const medium = { ...shared, hidden_size: 1152, intermediate_size: 4096, num_hidden_layers: 26 };
  const large = { ...shared, hidden_size: 2304, intermediate_size: 6144, num_hidden_layers: 32 };
  const [small, ...others] = [config, medium, large].map((raw) =>
    openModel(withClasses(raw, ["bad", "good"])),
  );
  assert.deepEqual([small!, ...others].map(numParametersOf), [212_358_146, 609_205_250, 2_112_906_242]);
  assert.deepEqual(
    others.map(({ layers: [layer] }) => [layer?.attention?.numKeyValueHeads, layer?.attention?.headWidth]),
    [
      [6, 64],
      [6, 128],
    ],
  );
  const { raw, layers, maxPositions, headModules, checkpoint } = small!;
  assert.deepEqual(raw["architectures"], ["EuroBertForSequenceClassification"]);
  assert.deepEqual(layers[0]?.attention?.rope, { theta: 250_000, width: 64, scaling: { kind: "none" } });
  assert.equal(layers[0]?.attention?.causal, false);
  assert.deepEqual([maxPositions, headModules], [8192, ["classifier"]]);
  // transformers reads one of the names, that code the other.
  const { clf_pooling: _before, ...unsaid } = raw;
  const own = checkpoint.ownConfig({ ...unsaid, clf_pooling: "mean" });
  assert.deepEqual([own["clf_pooling"], own["classifier_pooling"]], ["mean", "mean"]);
  assert.deepEqual(checkpoint.ownConfig(unsaid), unsaid);
  /** Whether a mean is taken behind the blocks. */
  const takesMean = (said: RawConfig): boolean =>
    openModel({ ...unsaid, ...said }).layers.at(-1)?.attention !== null;
  assert.deepEqual(
    [
      {},
      { clf_pooling: "bos" },
      { classifier_pooling: "bos" },
      { classifier_pooling: "mean", clf_pooling: "mean" },
    ].map(takesMean),
    [true, false, false, true],
  );
});

test("OLMo 3 of 7B: three layers with a window, then one that sees all and stretches its rotation", () => {
  const { layers, maxPositions } = openModel({
    architectures: ["Olmo3ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    eos_token_id: 100_257,
    hidden_act: "silu",
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 11_008,
    layer_types: [0, 1, 2, 3].map((layer) => (layer < 3 ? "sliding_attention" : "full_attention")),
    max_position_embeddings: 65_536,
    model_type: "olmo3",
    num_attention_heads: 32,
    num_hidden_layers: 4,
    num_key_value_heads: 32,
    pad_token_id: 100_277,
    rms_norm_eps: 1e-6,
    rope_scaling: {
      attention_factor: 1.2079441541679836,
      beta_fast: 32,
      beta_slow: 1,
      factor: 8,
      original_max_position_embeddings: 8192,
      rope_type: "yarn",
    },
    rope_theta: 500_000,
    sliding_window: 4096,
    tie_word_embeddings: false,
    vocab_size: 100_278,
  });
  assert.equal(maxPositions, 65_536);
  assert.deepEqual(
    layers.map(({ attention }) => [attention?.window, attention?.rope?.theta, attention?.rope?.scaling.kind]),
    [0, 1, 2, 3].map((layer) => (layer < 3 ? [4096, 500_000, "none"] : [null, 500_000, "yarn"])),
  );
  // The norm of queries is over all heads together.
  assert.deepEqual(layers[0]?.tensors.find(({ name }) => name === "self_attn.q_norm.weight")?.shape, [4096]);
});

test("ERNIE 4.5 of 0.3B has heads wider than its width by their number, and rotates neighbours", () => {
  const { layers, tensors, ties } = openModel({
    architectures: ["Ernie4_5ForCausalLM"],
    bos_token_id: 1,
    eos_token_id: 2,
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 1024,
    intermediate_size: 3072,
    max_position_embeddings: 131_072,
    model_type: "ernie4_5",
    num_attention_heads: 16,
    num_hidden_layers: 2,
    num_key_value_heads: 2,
    pad_token_id: 0,
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    tie_word_embeddings: true,
    use_bias: false,
    use_cache: false,
    vocab_size: 103_424,
  });
  assert.deepEqual(layers[0]?.attention?.rope, {
    theta: 500_000,
    width: 128,
    scaling: { kind: "none" },
    neighbours: true,
  });
  assert.deepEqual(tensors.get("model.layers.0.self_attn.o_proj.weight")?.shape, [1024, 2048]);
  assert.equal(ties.size, 1);
});

test("EXAONE 4 of 1.2B has no window and rotates everywhere, of 32B rotates under its window alone", () => {
  const config = {
    architectures: ["Exaone4ForCausalLM"],
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 361,
    head_dim: 64,
    hidden_act: "silu",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 4096,
    layer_types: Array<string>(4).fill("full_attention"),
    max_position_embeddings: 65_536,
    model_type: "exaone4",
    num_attention_heads: 32,
    num_hidden_layers: 4,
    num_key_value_heads: 8,
    pad_token_id: 0,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 16,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 1_000_000,
    sliding_window: null,
    sliding_window_pattern: null,
    tie_word_embeddings: true,
    use_cache: true,
    vocab_size: 102_400,
  };
  const kindsOf = (raw: RawConfig): unknown =>
    openModel(raw).layers.map(({ attention }) => [attention?.window, attention?.rope?.scaling.kind]);
  const rotated = [null, "llama3"];
  assert.deepEqual(kindsOf(config), [rotated, rotated, rotated, rotated]);
  const windowed = [4096, "llama3"];
  const large = { ...config, layer_types: null, sliding_window: 4096, sliding_window_pattern: "LLLG" };
  assert.deepEqual(kindsOf(large), [windowed, windowed, windowed, [null, undefined]]);
});

test("GLM-4-0414 of 9B rotates half of each head, neighbours together, and has no biases", () => {
  const config = {
    architectures: ["Glm4ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    eos_token_id: [151_329, 151_336, 151_338],
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 13_696,
    max_position_embeddings: 32_768,
    model_type: "glm4",
    num_attention_heads: 32,
    num_hidden_layers: 2,
    num_key_value_heads: 2,
    pad_token_id: 151_329,
    partial_rotary_factor: 0.5,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    use_cache: true,
    vocab_size: 151_552,
  };
  const { layers, tensors } = openModel(config);
  const { width, neighbours } = layers[0]!.attention!.rope!;
  assert.deepEqual([width, neighbours], [64, true]);
  assert.ok(!tensors.has("model.layers.0.self_attn.q_proj.bias"));
  assert.deepEqual(tensors.get("model.layers.0.mlp.gate_up_proj.weight")?.shape, [27_392, 4096]);
  // The Z1 models of 32B leave out what is half.
  const { partial_rotary_factor: _, ...withoutShare } = config;
  assert.equal(openModel(withoutShare).layers[0]?.attention?.rope?.width, 64);
});

test("Hunyuan of 0.5B names settings of its own code, and a factor that stretches the base of its rotation", () => {
  const { layers, maxPositions, ties } = openModel({
    add_classification_head: false,
    architectures: ["HunYuanDenseV1ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0.1,
    attention_head_dim: 128,
    bos_token_id: 120_000,
    cla_share_factor: 2,
    class_num: 0,
    eod_token_id: 120_020,
    eos_token_id: 120_020,
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 1024,
    im_end_id: 5,
    im_newline_id: 11,
    im_start_id: 4,
    initializer_range: 0.02,
    intermediate_size: 3584,
    mask_init_id: 12,
    max_position_embeddings: 262_144,
    mlp_bias: false,
    model_type: "hunyuan_v1_dense",
    norm_type: "rms",
    num_attention_heads: 8,
    num_hidden_layers: 2,
    num_key_value_heads: 4,
    org_vocab_size: 120_818,
    pad_id: 120_002,
    pad_token_id: 120_002,
    pool_type: "last",
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      alpha: 1000,
      beta_fast: 32,
      beta_slow: 1,
      factor: 1,
      mscale: 1,
      mscale_all_dim: 1,
      type: "dynamic",
    },
    rope_theta: 10_000,
    sep_token_id: 120_007,
    text_end_id: 7,
    text_start_id: 6,
    tie_word_embeddings: true,
    use_cache: true,
    use_cla: false,
    use_qk_norm: true,
    vocab_size: 120_818,
  });
  assert.deepEqual([maxPositions, ties.size], [262_144, 1]);
  const { theta, scaling } = layers[0]!.attention!.rope!;
  assert.ok(Math.abs(theta / (10_000 * 1000 ** (128 / 126)) - 1) < 1e-12);
  assert.equal(scaling.kind, "none");
});

test("Arcee's AFM of 4.5B has no gate, Seed-OSS of 36B biases of queries, keys and values alone", () => {
  const sizes = {
    attention_dropout: 0.1,
    bos_token_id: 0,
    eos_token_id: 2,
    head_dim: 128,
    initializer_range: 0.02,
    mlp_bias: false,
    num_hidden_layers: 2,
    pad_token_id: 1,
    tie_word_embeddings: false,
    use_cache: true,
  };
  const arcee = openModel({
    ...sizes,
    architectures: ["ArceeForCausalLM"],
    attention_bias: false,
    hidden_act: "relu2",
    hidden_size: 2560,
    intermediate_size: 18_432,
    max_position_embeddings: 65_536,
    model_type: "arcee",
    num_attention_heads: 20,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      beta_fast: 32,
      beta_slow: 1,
      factor: 20,
      mscale: 1,
      original_max_position_embeddings: 4096,
      rope_type: "yarn",
      type: "yarn",
    },
    rope_theta: 10_000,
    vocab_size: 128_004,
  });
  assert.ok(!arcee.tensors.has("model.layers.0.mlp.gate_proj.weight"));
  assert.equal(arcee.layers[0]?.attention?.rope?.scaling.kind, "yarn");
  const seed = openModel({
    ...sizes,
    architectures: ["SeedOssForCausalLM"],
    attention_bias: true,
    attention_out_bias: false,
    hidden_act: "silu",
    hidden_size: 5120,
    intermediate_size: 27_648,
    max_position_embeddings: 524_288,
    model_type: "seed_oss",
    num_attention_heads: 80,
    num_key_value_heads: 8,
    residual_dropout: 0.1,
    rms_norm_eps: 1e-6,
    rope_scaling: { rope_type: "default" },
    rope_theta: 10_000_000,
    vocab_size: 155_136,
  });
  assert.deepEqual(
    ["q", "o"].map((name) => seed.tensors.has(`model.layers.0.self_attn.${name}_proj.bias`)),
    [true, false],
  );
});

test("nanochat d32 has no weights of norms", () => {
  const model = openModel({
    architectures: ["NanoChatForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 65_527,
    eos_token_id: 65_531,
    final_logit_softcapping: 15,
    hidden_act: "relu2",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 8192,
    max_position_embeddings: 2048,
    model_type: "nanochat",
    num_attention_heads: 16,
    num_hidden_layers: 32,
    num_key_value_heads: 16,
    pad_token_id: 65_531,
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_theta: 10_000, rope_type: "default" },
    tie_word_embeddings: false,
    use_cache: true,
    vocab_size: 65_536,
  });
  assert.ok(![...model.tensors.keys()].some((name) => name.includes("norm")));
  assert.equal(model.layers[31]?.attention?.headWidth, 128);
});

test("Ettin's decoder of 150M names settings of its own code, and sees 64 tokens in most layers", () => {
  const model = openModel({
    architectures: ["ModernBertDecoderForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 50_281,
    causal_mask: true,
    classifier_activation: "gelu",
    classifier_bias: false,
    classifier_dropout: 0,
    classifier_pooling: "mean",
    cls_token_id: 50_281,
    decoder_bias: true,
    deterministic_flash_attn: false,
    embedding_dropout: 0,
    eos_token_id: 50_282,
    global_attn_every_n_layers: 3,
    global_rope_theta: 160_000,
    gradient_checkpointing: false,
    hidden_activation: "gelu",
    hidden_size: 768,
    initializer_cutoff_factor: 2,
    initializer_range: 0.02,
    intermediate_size: 1152,
    is_causal: true,
    layer_norm_eps: 1e-5,
    local_attention: 128,
    local_rope_theta: 160_000,
    max_position_embeddings: 7999,
    mlp_bias: false,
    mlp_dropout: 0,
    model_type: "modernbert-decoder",
    norm_bias: false,
    norm_eps: 1e-5,
    num_attention_heads: 12,
    num_hidden_layers: 22,
    pad_token_id: 50_283,
    position_embedding_type: "sans_pos",
    repad_logits_with_grad: false,
    sep_token_id: 50_282,
    sparse_pred_ignore_index: -100,
    sparse_prediction: false,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    vocab_size: 50_368,
  });
  assert.deepEqual(
    model.layers.slice(0, 4).map(({ attention }) => attention?.window),
    [null, 64, 64, null],
  );
  assert.ok(model.tensors.has("decoder.bias") && model.tensors.has("lm_head.dense.weight"));
  assert.ok(!model.tensors.has("model.layers.0.attn_norm.weight"));
});

test("Apertus 8B has two trained numbers in each layer, and its long rotation where its file says nothing of one", () => {
  const config = {
    architectures: ["ApertusForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 68,
    hidden_act: "xielu",
    hidden_dropout: 0,
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 21_504,
    max_position_embeddings: 65_536,
    mlp_bias: false,
    model_type: "apertus",
    num_attention_heads: 32,
    num_hidden_layers: 32,
    num_key_value_heads: 8,
    pad_token_id: 3,
    post_norm: false,
    qk_norm: true,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 8,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
      type: "llama3",
    },
    rope_theta: 12_000_000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    use_cache: true,
    vocab_size: 131_072,
  };
  const model = openModel(config);
  for (const name of ["alpha_p", "alpha_n", "beta", "eps"])
    assert.ok(model.tensors.has(`model.layers.31.mlp.act_fn.${name}`), name);
  const silent = openModel({ ...config, rope_scaling: null, rope_theta: null });
  assert.deepEqual(silent.layers[0]?.attention?.rope, model.layers[0]?.attention?.rope);
});

test("GLM-4 of 9B rotates half of each head, GLM-Edge of 1.5B all of it", () => {
  const common = {
    architectures: ["GlmForCausalLM"],
    attention_dropout: 0,
    head_dim: 128,
    hidden_act: "silu",
    initializer_range: 0.02,
    model_type: "glm",
    rope_theta: 10_000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    use_cache: true,
  };
  const glm = openModel({
    ...common,
    attention_bias: true,
    eos_token_id: [151_329, 151_336, 151_338],
    hidden_size: 4096,
    intermediate_size: 13_696,
    max_position_embeddings: 131_072,
    num_attention_heads: 32,
    num_hidden_layers: 40,
    num_key_value_heads: 2,
    pad_token_id: 151_329,
    rms_norm_eps: 1.5625e-7,
    vocab_size: 151_552,
  });
  const edge = openModel({
    ...common,
    attention_bias: false,
    eos_token_id: [59_246, 59_253, 59_255],
    hidden_size: 2048,
    intermediate_size: 6144,
    max_position_embeddings: 8192,
    num_attention_heads: 16,
    num_hidden_layers: 28,
    num_key_value_heads: 4,
    pad_token_id: 59_246,
    partial_rotary_factor: 1,
    rms_norm_eps: 1e-5,
    vocab_size: 59_264,
  });
  assert.deepEqual(
    [glm, edge].map(({ layers: [layer] }) => layer?.attention?.rope?.width),
    [64, 128],
  );
  assert.deepEqual(
    [glm, edge].map(({ tensors }) => tensors.has("model.layers.0.self_attn.q_proj.bias")),
    [true, false],
  );
});

test("Helium 1 of 2B rotates neighbours together", () => {
  const { layers, maxPositions } = openModel({
    architectures: ["HeliumForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    head_dim: 128,
    hidden_act: "silu",
    hidden_size: 2560,
    initializer_range: 0.02,
    intermediate_size: 7040,
    max_position_embeddings: 4096,
    mlp_bias: false,
    model_type: "helium",
    num_attention_heads: 20,
    num_hidden_layers: 24,
    num_key_value_heads: 20,
    pad_token_id: 3,
    rms_norm_eps: 1e-8,
    rope_theta: 100_000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    use_cache: true,
    vocab_size: 48_000,
  });
  const rope = layers[23]?.attention?.rope;
  assert.deepEqual([maxPositions, rope?.theta, rope?.neighbours], [4096, 100_000, true]);
});

test("Minitron 4B rotates half of each head, and names settings of its own code", () => {
  const { layers, tensors } = openModel({
    architectures: ["NemotronForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 2,
    eos_token_id: 3,
    head_dim: 128,
    hidden_act: "relu2",
    hidden_size: 3072,
    initializer_range: 0.0134,
    intermediate_size: 9216,
    kv_channels: 128,
    max_position_embeddings: 4096,
    mlp_bias: false,
    model_type: "nemotron",
    norm_eps: 1e-5,
    num_attention_heads: 24,
    num_hidden_layers: 32,
    num_key_value_heads: 8,
    partial_rotary_factor: 0.5,
    rope_percent: 0.5,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    use_cache: true,
    vocab_size: 256_000,
  });
  assert.equal(layers[0]?.attention?.rope?.width, 64);
  assert.ok(tensors.has("model.norm.bias") && !tensors.has("model.layers.0.mlp.gate_proj.weight"));
});

test("VaultGemma 1B has two norms a block", () => {
  const { layers, tensors } = openModel({
    architectures: ["VaultGemmaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    attn_logit_softcapping: 50,
    bos_token_id: 2,
    dtype: "bfloat16",
    eos_token_id: 1,
    final_logit_softcapping: 30,
    head_dim: 256,
    hidden_activation: "gelu_pytorch_tanh",
    hidden_size: 1152,
    initializer_range: 0.02,
    intermediate_size: 6912,
    max_position_embeddings: 1024,
    model_type: "vaultgemma",
    num_attention_heads: 4,
    num_hidden_layers: 26,
    num_key_value_heads: 4,
    pad_token_id: 0,
    query_pre_attn_scalar: 256,
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_theta: 10_000, rope_type: "default" },
    sliding_window: 512,
    tie_word_embeddings: true,
    use_cache: true,
    vocab_size: 256_000,
  });
  assert.deepEqual(
    layers.slice(0, 2).map(({ attention }) => attention?.window),
    [512, null],
  );
  const norms = [...tensors.keys()].filter((name) => /layers\.0\..*norm/.test(name));
  assert.deepEqual(norms, [
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.pre_feedforward_layernorm.weight",
  ]);
});

test("EXAONE 3.5 of 2.4B has names of its own for settings", () => {
  const { layers, ties } = openModel({
    activation_function: "silu",
    architectures: ["ExaoneForCausalLM"],
    attention_dropout: 0,
    auto_map: { AutoConfig: "configuration_exaone.ExaoneConfig" },
    bos_token_id: 1,
    embed_dropout: 0,
    eos_token_id: 361,
    head_dim: 80,
    hidden_size: 2560,
    initializer_range: 0.02,
    intermediate_size: 7168,
    layer_norm_epsilon: 1e-5,
    max_position_embeddings: 32_768,
    model_type: "exaone",
    num_attention_heads: 32,
    num_key_value_heads: 8,
    num_layers: 30,
    pad_token_id: 0,
    rope_scaling: {
      factor: 8,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
    rope_theta: 1_000_000,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    use_cache: true,
    vocab_size: 102_400,
  });
  assert.deepEqual([layers.length, ties.size], [30, 1]);
  assert.equal(layers[29]?.attention?.rope?.scaling.kind, "llama3");
});

test("Qwen3-Coder names settings of its own code", () => {
  const config = {
    ...LLAMA_SIZES,
    model_type: "qwen3_moe",
    moe_intermediate_size: 64,
    qkv_bias: false,
    use_qk_norm: true,
    shared_expert_intermediate_size: 0,
  };
  assert.ok(openModel(config).numLayers > 0);
  assert.throws(
    () => openModel({ ...config, shared_expert_intermediate_size: 512 }),
    /shared_expert_intermediate_size is 512, expected 0/,
  );
});

test("rotary settings may name what transformers passes over", () => {
  const scalingOf = (more: RawConfig): unknown =>
    openModel({
      ...LLAMA_SIZES,
      model_type: "llama",
      rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32_768, ...more },
    }).layers[0]?.attention?.rope?.scaling;
  // Of DeepSeek-R1-0528-Qwen3-8B, and of Yarn-Llama-2-7b-128k.
  for (const more of [{ attn_factor: 0.8782488562869419 }, { finetuned: true }])
    assert.deepEqual(scalingOf(more), scalingOf({}));
  // Of Mistral Medium: one of the two alone is none.
  assert.deepEqual(scalingOf({ mscale: 1, mscale_all_dim: 0 }), scalingOf({}));
  assert.notDeepEqual(scalingOf({ mscale: 1, mscale_all_dim: 0.5 }), scalingOf({}));
});

test("what a file leaves out is what transformers takes", () => {
  const settings = (modelType: string, config: RawConfig = {}): RawConfig =>
    openModel({ ...LLAMA_SIZES, num_attention_heads: 32, model_type: modelType, ...config }).settings;
  for (const modelType of ["mixtral", "olmo", "olmo2", "olmoe", "phi3"])
    assert.equal(settings(modelType)["rms_norm_eps"], 1e-5, modelType);
  for (const [modelType, maxPositions, numKeyValueHeads] of [
    ["mistral", 131_072, 8],
    ["ministral", 131_072, 8],
    ["ministral3", 262_144, 8],
    ["mixtral", 131_072, 8],
    ["qwen2", 32_768, 32],
    ["qwen3", 32_768, 32],
    ["smollm3", 32_768, 4],
    ["phi3", 4096, undefined],
    ["olmoe", 4096, undefined],
    ["gemma", 8192, 16],
    ["gemma2", 8192, 4],
    ["gemma3_text", 131_072, 4],
  ] as const) {
    const found = settings(modelType);
    assert.equal(found["max_position_embeddings"], maxPositions, modelType);
    assert.equal(found["num_key_value_heads"], numKeyValueHeads, modelType);
  }
  const experts = { moe_intermediate_size: 64, mlp_only_layers: null };
  assert.equal(settings("qwen3_moe", experts)["num_key_value_heads"], 4);
  assert.equal(settings("qwen3")["head_dim"], 128);
  const classes = { architectures: ["RobertaForSequenceClassification"] };
  assert.equal(settings("roberta", classes)["type_vocab_size"], 2);
  assert.equal(settings("mistral")["sliding_window"], 4096);
  assert.equal(settings("mistral", { sliding_window: null })["sliding_window"], null);
  assert.equal(settings("ministral")["sliding_window"], 4096);
});

test("a window is that of transformers where the file has none, and on the layers that it takes", () => {
  const windows = (config: RawConfig): unknown[] =>
    openModel({ ...LLAMA_SIZES, ...config }).layers.map(({ attention }) => attention?.window);
  const qwen = {
    model_type: "qwen2",
    num_key_value_heads: 4,
    use_sliding_window: true,
    max_window_layers: 2,
  };
  assert.deepEqual(windows(qwen), [null, null, 4096, 4096]);
  assert.deepEqual(windows({ ...qwen, sliding_window: null }), [null, null, null, null]);
  const smollm = { model_type: "smollm3", use_sliding_window: true, sliding_window: 8 };
  assert.deepEqual(windows({ ...smollm, no_rope_layers: [1, 0, 1, 0] }), [null, 8, null, 8]);
  const [near, far] = ["sliding_attention", "full_attention"];
  const listed = { ...smollm, use_sliding_window: false, layer_types: [near, far, near, far] };
  assert.deepEqual(windows(listed), [8, null, 8, null]);
});

test("keys of other families are passed over where they are false, as transformers 4 writes some into all files", () => {
  const llama = { ...LLAMA_SIZES, model_type: "llama" };
  const keys = ["is_encoder_decoder", "add_cross_attention", "use_mrope", "use_sliding_window"];
  for (const key of keys) {
    assert.equal(openModel({ ...llama, [key]: false }).layers.length, 4);
    assert.throws(() => openModel({ ...llama, [key]: true }), new RegExp(`${key} is true`));
  }
  openModel({ ...GPT2, attention_bias: false, mlp_bias: false });
});

test("a setting under another family's name, beside the family's own, is refused where it says something else", () => {
  const own = { ...GPT2, activation_function: "relu" };
  for (const config of [
    { ...own, hidden_act: "silu" },
    { hidden_act: "silu", ...own },
  ]) {
    assert.throws(() => openModel(config), /hidden_act is "silu" \(unknown setting\)/);
  }
  for (const config of [{ hidden_act: null, hidden_size: 768 }, { hidden_act: "relu" }]) {
    assert.equal(openModel({ ...own, ...config }).width, 768);
  }
});

test("a context is stretched from the model's positions on where the file does not say from which", () => {
  const scalingOf = (config: RawConfig): unknown =>
    openModel({ ...LLAMA_SIZES, model_type: "llama", ...config }).layers[0]?.attention?.rope?.scaling;
  const yarn = { rope_type: "yarn", factor: 4 };
  const expected = scalingOf({ rope_scaling: { ...yarn, original_max_position_embeddings: 2048 } });
  assert.deepEqual(scalingOf({ rope_scaling: yarn }), expected);
  assert.deepEqual(scalingOf({ rope_parameters: { rope_type: "default" }, rope_scaling: yarn }), expected);
  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  assert.deepEqual(
    scalingOf({ rope_scaling: llama3 }),
    scalingOf({ rope_scaling: { ...llama3, original_max_position_embeddings: 2048 } }),
  );
  // Up to the model's positions, "dynamic" is no scaling.
  assert.deepEqual(scalingOf({ rope_scaling: { type: "dynamic", factor: 2 } }), { kind: "none" });
});

test("Mistral's models that read images have the text part that transformers takes where the file says little of it", () => {
  const { layers, width, settings } = openModel({ model_type: "mistral3", text_config: {} });
  assert.deepEqual([layers.length, width, settings["vocab_size"]], [40, 5120, 131_072]);
  const { headWidth, rope, window } = layers[0]!.attention!;
  assert.deepEqual([headWidth, rope?.theta, rope?.scaling.kind, window], [128, 1e9, "none", null]);
  const ministral = openModel({
    model_type: "mistral3",
    text_config: {
      model_type: "ministral3",
      ...LLAMA_SIZES,
      num_attention_heads: 32,
      tie_word_embeddings: true,
    },
  });
  assert.equal(ministral.ties.size, 1);
  const { rope: stretched, headWidth: own } = ministral.layers[0]!.attention!;
  assert.deepEqual([own, stretched?.theta, stretched?.scaling.kind], [128, 1e6, "yarn"]);
});

const GEMMA4_31B = {
  attention_bias: false,
  attention_dropout: 0,
  attention_k_eq_v: true,
  bos_token_id: 2,
  dtype: "bfloat16",
  enable_moe_block: false,
  eos_token_id: 1,
  final_logit_softcapping: 30,
  global_head_dim: 512,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 5376,
  hidden_size_per_layer_input: 0,
  initializer_range: 0.02,
  intermediate_size: 21_504,
  layer_types: Array.from({ length: 60 }, (_, i) => ((i + 1) % 6 ? "sliding_attention" : "full_attention")),
  max_position_embeddings: 262_144,
  model_type: "gemma4_text",
  moe_intermediate_size: null,
  num_attention_heads: 32,
  num_experts: null,
  num_global_key_value_heads: 4,
  num_hidden_layers: 60,
  num_key_value_heads: 16,
  num_kv_shared_layers: 0,
  pad_token_id: 0,
  rms_norm_eps: 1e-6,
  rope_parameters: {
    full_attention: { partial_rotary_factor: 0.25, rope_theta: 1_000_000, rope_type: "proportional" },
    sliding_attention: { rope_theta: 10_000, rope_type: "default" },
  },
  sliding_window: 1024,
  tie_word_embeddings: true,
  top_k_experts: null,
  use_bidirectional_attention: "vision",
  use_cache: true,
  use_double_wide_mlp: false,
  vocab_size: 262_144,
  vocab_size_per_layer_input: 262_144,
};
const gemma4 = (text_config: object): Model =>
  openModel({
    architectures: ["Gemma4ForConditionalGeneration"],
    audio_config: null,
    audio_token_id: 258_881,
    boi_token_id: 255_999,
    dtype: "bfloat16",
    eos_token_id: [1, 106],
    image_token_id: 258_880,
    model_type: "gemma4",
    text_config,
    tie_word_embeddings: true,
    vision_config: { model_type: "gemma4_vision" },
  });

test("Gemma 4 of 31B: layers without a window have wider heads, of which a quarter turns, and no values of their own", () => {
  const model = gemma4(GEMMA4_31B);
  const { layers, tensors, ties } = model;
  assert.equal(ties.size, 1);
  const [windowed, full] = [layers[0]?.attention, layers[5]?.attention];
  assert.deepEqual([windowed?.numKeyValueHeads, windowed?.headWidth, windowed?.window], [16, 256, 1024]);
  assert.deepEqual([full?.numKeyValueHeads, full?.headWidth, full?.window], [4, 512, null]);
  assert.deepEqual(windowed?.rope, { theta: 10_000, width: 256, scaling: { kind: "none" } });
  const scaling = { kind: "proportional", factor: 1, numTurning: 64 };
  assert.deepEqual(full?.rope, { theta: 1_000_000, width: 512, scaling });
  assert.ok(!tensors.has("model.layers.5.self_attn.v_proj.weight"));
  assert.equal(Math.round(numParametersOf(model) / 1e7), 3070);
});

test("Gemma 4 as transformers writes it: what layers have of their own stands by their numbers", () => {
  const { global_head_dim: _width, num_global_key_value_heads: _num, ...text } = GEMMA4_31B;
  const own = { head_dim: 512, num_key_value_heads: 4 };
  const per_layer_config = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [String(6 * i + 5).padStart(2, "0"), own]),
  );
  const [published, written] = [gemma4(GEMMA4_31B), gemma4({ ...text, per_layer_config })];
  assert.deepEqual(written.layers, published.layers);
});

/** The last layers, of which each fifth has no window, read keys of others, and are twice as wide. */
const GEMMA4_E2B = {
  ...GEMMA4_31B,
  attention_k_eq_v: false,
  hidden_size: 1536,
  hidden_size_per_layer_input: 256,
  intermediate_size: 6144,
  layer_types: Array.from({ length: 35 }, (_, i) => ((i + 1) % 5 ? "sliding_attention" : "full_attention")),
  max_position_embeddings: 131_072,
  num_attention_heads: 8,
  num_global_key_value_heads: null,
  num_hidden_layers: 35,
  num_key_value_heads: 1,
  num_kv_shared_layers: 20,
  sliding_window: 512,
  use_bidirectional_attention: null,
  use_double_wide_mlp: true,
};

test("Gemma 4 E2B: layers have embeddings of their own, and twenty read keys of two others", () => {
  const model = gemma4(GEMMA4_E2B);
  const { layers, tensors, givesLayers, checkpoint } = model;
  assert.ok(givesLayers);
  assert.deepEqual(tensors.get("model.embed_tokens_per_layer.weight")?.shape, [262_144, 35 * 256]);
  assert.deepEqual(
    layers.map(({ keysFrom }) => keysFrom),
    layers.map((_, i) => (i < 15 ? null : (i + 1) % 5 ? 13 : 14)),
  );
  assert.deepEqual(
    [13, 14, 15].map((layer) => model.givesKeys(layer)),
    [true, true, false],
  );
  assert.deepEqual(tensors.get("model.layers.14.mlp.up_proj.weight")?.shape, [6144, 1536]);
  assert.deepEqual(tensors.get("model.layers.15.mlp.up_proj.weight")?.shape, [12_288, 1536]);
  assert.ok(!tensors.has("model.layers.15.self_attn.k_proj.weight"));
  assert.ok(checkpoint.ignored.test("model.layers.15.self_attn.k_proj.weight"));
  assert.ok(!checkpoint.ignored.test("model.layers.14.self_attn.k_proj.weight"));
  // Own and shared, with a window and without.
  assert.equal(new Set(layers.map(({ kind }) => kind)).size, 4);
  assert.equal(keyWidth(model), 12 * 256 + 3 * 512);
  // Of 5.1 thousand millions, with what reads images and sound.
  assert.equal(Math.round(numParametersOf(model) / 1e7), 463);
});

test("Gemma 4 E4B: 42 layers, of which the last 18 read keys of others", () => {
  const model = gemma4({
    ...GEMMA4_E2B,
    hidden_size: 2560,
    intermediate_size: 10_240,
    layer_types: Array.from({ length: 42 }, (_, i) => ((i + 1) % 6 ? "sliding_attention" : "full_attention")),
    num_hidden_layers: 42,
    num_key_value_heads: 2,
    num_kv_shared_layers: 18,
    use_double_wide_mlp: false,
  });
  assert.deepEqual([model.layers[41]?.keysFrom, model.layers[40]?.keysFrom], [23, 22]);
  assert.equal(Math.round(numParametersOf(model) / 1e7), 746);
});

test("Gemma 4 26B-A4B: every layer has 128 experts beside its feed-forward part, in stacks", () => {
  const model = gemma4({
    ...GEMMA4_31B,
    enable_moe_block: true,
    hidden_size: 2816,
    intermediate_size: 2112,
    layer_types: GEMMA4_31B.layer_types.slice(0, 30),
    moe_intermediate_size: 704,
    num_attention_heads: 16,
    num_experts: 128,
    num_global_key_value_heads: 2,
    num_hidden_layers: 30,
    num_key_value_heads: 8,
    top_k_experts: 8,
  });
  const { tensors, layers, checkpoint } = model;
  assert.deepEqual(tensors.get("model.layers.29.router.per_expert_scale")?.shape, [128]);
  assert.deepEqual(tensors.get("model.layers.29.router.proj.weight")?.shape, [128, 2816]);
  const upper = "model.layers.0.experts.127.up_proj.weight";
  assert.deepEqual(tensors.get(upper)?.shape, [704, 2816]);
  assert.deepEqual(checkpoint.inFolder(upper), {
    name: "model.layers.0.experts.gate_up_proj",
    stack: { index: 255, numParts: 2 },
  });
  // With a window and without.
  assert.equal(new Set(layers.map(({ kind }) => kind)).size, 2);
  assert.equal(Math.round(numParametersOf(model) / 1e7), 2523);
});

test("Gemma 3 has no cap on its scores, and none on its logits where it reads images", () => {
  const text = { ...LLAMA_SIZES, attn_logit_softcapping: 50, final_logit_softcapping: 30 };
  const model = openModel({ ...text, model_type: "gemma3_text" });
  assert.equal(model.layers[0]?.attention?.softcap, null);
  assert.equal(
    openModel({ model_type: "gemma3", text_config: text }).settings["final_logit_softcapping"],
    null,
  );
});

test("LFM2 of 1.2B says which layers attend by their numbers, and its width before it is rounded", () => {
  const { layers, ties, maxPositions, tensors } = openModel({
    architectures: ["Lfm2ForCausalLM"],
    block_auto_adjust_ff_dim: true,
    block_dim: 2048,
    block_ff_dim: 12_288,
    block_ffn_dim_multiplier: 1,
    block_mlp_init_scale: 1,
    block_multiple_of: 256,
    block_norm_eps: 1e-5,
    block_out_init_scale: 1,
    block_use_swiglu: true,
    block_use_xavier_init: true,
    bos_token_id: 1,
    conv_L_cache: 3,
    conv_bias: false,
    conv_dim: 2048,
    conv_dim_out: 2048,
    conv_use_xavier_init: true,
    eos_token_id: 7,
    full_attn_idxs: [2, 5, 8, 10, 12, 14],
    hidden_size: 2048,
    initializer_range: 0.02,
    max_position_embeddings: 128_000,
    model_type: "lfm2",
    norm_eps: 1e-5,
    num_attention_heads: 32,
    num_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    pad_token_id: 0,
    rope_theta: 1_000_000,
    tie_embedding: true,
    torch_dtype: "bfloat16",
    use_cache: true,
    use_pos_enc: true,
    vocab_size: 65_536,
  });
  assert.deepEqual(
    [...layers.entries()].flatMap(([layer, { attention }]) => (attention ? [layer] : [])),
    [2, 5, 8, 10, 12, 14],
  );
  assert.deepEqual(layers[0]?.recent, { width: 2048, count: 2 });
  assert.deepEqual(layers[2]?.attention?.rope, { theta: 1_000_000, width: 64, scaling: { kind: "none" } });
  assert.deepEqual([layers[2]?.attention?.numKeyValueHeads, maxPositions, ties.size], [8, 128_000, 1]);
  assert.deepEqual(tensors.get("model.layers.0.feed_forward.w1.weight")?.shape, [8192, 2048]);
  const numParameters = [...tensors.values()].map(({ shape }) =>
    shape.reduce((product, n) => product * n, 1),
  );
  assert.equal(
    numParameters.reduce((sum, n) => sum + n, 0),
    1_170_340_608,
  );
});

test("Falcon H1 of 0.5B: attention and a state-space layer in every block, as many parameters as it is said to have", () => {
  const { layers, tensors, ties, maxPositions } = openModel({
    architectures: ["FalconH1ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    attention_in_multiplier: 1,
    attention_out_multiplier: 0.9375,
    attn_layer_indices: null,
    bos_token_id: 17,
    embedding_multiplier: 5.656854249492381,
    eos_token_id: 11,
    head_dim: 64,
    hidden_act: "silu",
    hidden_size: 1024,
    initializer_range: 0.02,
    intermediate_size: 2048,
    key_multiplier: 0.390625,
    lm_head_multiplier: 0.0390625,
    mamba_chunk_size: 128,
    mamba_conv_bias: true,
    mamba_d_conv: 4,
    mamba_d_head: 64,
    mamba_d_ssm: 1536,
    mamba_d_state: 128,
    mamba_expand: 2,
    mamba_n_groups: 1,
    mamba_n_heads: 24,
    mamba_norm_before_gate: false,
    mamba_proj_bias: false,
    mamba_rms_norm: false,
    mamba_use_mlp: true,
    max_position_embeddings: 16_384,
    mlp_bias: false,
    mlp_expansion_factor: 8,
    mlp_multipliers: [0.8838834764831845, 0.5859375],
    model_type: "falcon_h1",
    num_attention_heads: 8,
    num_hidden_layers: 36,
    num_key_value_heads: 2,
    num_logits_to_keep: 1,
    pad_token_id: 0,
    projectors_bias: false,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 100_000_000_000,
    ssm_in_multiplier: 1.25,
    ssm_multipliers: [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
    ssm_out_multiplier: 0.23570226039551587,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.52.0.dev0",
    use_cache: true,
    vocab_size: 32_784,
  });
  assert.equal(new Set(layers).size, 1);
  const [{ attention, states, recent }] = layers as [(typeof layers)[number]];
  assert.deepEqual([attention?.numHeads, attention?.numKeyValueHeads, attention?.headWidth], [8, 2, 64]);
  assert.deepEqual(states, [
    { name: "recent", shape: [1792, 3] },
    { name: "state", shape: [24, 128, 64] },
  ]);
  assert.equal(recent, null);
  assert.deepEqual(tensors.get("model.layers.0.mamba.in_proj.weight")?.shape, [3352, 1024]);
  assert.deepEqual([maxPositions, ties.size], [16_384, 0]);
  const numParameters = [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  assert.equal(numParameters, 521_411_104);
});

test("LFM2-8B-A1B: experts above two layers, as many parameters as its name says, and a bias that none trains", () => {
  const { layers, tensors } = openModel({
    architectures: ["Lfm2MoeForCausalLM"],
    bos_token_id: 1,
    conv_L_cache: 3,
    conv_bias: false,
    dtype: "bfloat16",
    eos_token_id: 7,
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 7168,
    layer_types: Array.from({ length: 24 }, (_, i) =>
      [2, 6, 10, 14, 18, 21].includes(i) ? "full_attention" : "conv",
    ),
    max_position_embeddings: 128_000,
    model_type: "lfm2_moe",
    moe_intermediate_size: 1792,
    norm_eps: 1e-5,
    norm_topk_prob: true,
    num_attention_heads: 32,
    num_dense_layers: 2,
    num_experts: 32,
    num_experts_per_tok: 4,
    num_hidden_layers: 24,
    num_key_value_heads: 8,
    pad_token_id: 0,
    rope_theta: 1_000_000,
    routed_scaling_factor: 1,
    transformers_version: "4.57.0.dev0",
    use_cache: true,
    use_expert_bias: true,
    vocab_size: 65_536,
  });
  assert.deepEqual(tensors.get("model.layers.1.feed_forward.w1.weight")?.shape, [7168, 2048]);
  assert.deepEqual(tensors.get("model.layers.2.feed_forward.experts.31.w2.weight")?.shape, [2048, 1792]);
  assert.equal(tensors.get("model.layers.23.feed_forward.expert_bias")?.role, "buffer");
  // Without experts, and with them below attention or convolutions.
  assert.equal(new Set(layers).size, 3);
  const numParameters = [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  assert.equal(Math.round(numParameters / 1e7), 834);
});

/** Of gpt-oss 20B; the larger one has more layers and experts. */
const GPT_OSS_20B = {
  architectures: ["GptOssForCausalLM"],
  attention_bias: true,
  attention_dropout: 0,
  eos_token_id: 200_002,
  experts_per_token: 4,
  head_dim: 64,
  hidden_act: "silu",
  hidden_size: 2880,
  initial_context_length: 4096,
  initializer_range: 0.02,
  intermediate_size: 2880,
  layer_types: Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? "sliding_attention" : "full_attention")),
  max_position_embeddings: 131_072,
  model_type: "gpt_oss",
  num_attention_heads: 64,
  num_experts_per_tok: 4,
  num_hidden_layers: 24,
  num_key_value_heads: 8,
  num_local_experts: 32,
  output_router_logits: false,
  pad_token_id: 199_999,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 32,
    original_max_position_embeddings: 4096,
    rope_type: "yarn",
    truncate: false,
  },
  rope_theta: 150_000,
  router_aux_loss_coef: 0.9,
  sliding_window: 128,
  swiglu_limit: 7,
  tie_word_embeddings: false,
  transformers_version: "4.55.0.dev0",
  use_cache: true,
  vocab_size: 201_088,
};

test("gpt-oss: windows in every other layer, sinks, a rotation that is stretched, as many parameters as its report says", () => {
  for (const [changes, millions] of [
    [{}, 20_915],
    [{ num_hidden_layers: 36, layer_types: null, num_local_experts: 128 }, 116_829],
  ] as const) {
    const { layers, tensors } = openModel({ ...GPT_OSS_20B, ...changes });
    assert.deepEqual(
      layers.slice(0, 3).map(({ attention }) => attention?.window),
      [128, null, 128],
    );
    const { attention } = layers[1]!;
    assert.deepEqual([attention?.sinks, attention?.headWidth], ["self_attn.sinks", 64]);
    assert.deepEqual(attention?.rope?.scaling, {
      kind: "yarn",
      factor: 32,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 4096,
      attentionFactor: 0.1 * Math.log(32) + 1,
      truncate: false,
    });
    assert.deepEqual(tensors.get("model.layers.23.mlp.experts.31.gate_up_proj.weight")?.shape, [5760, 2880]);
    const numParameters = [...tensors.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
      0,
    );
    assert.equal(Math.round(numParameters / 1e6), millions);
  }
});

test("Qwen 3.5 of 0.8B: three of four layers keep one state, the others have gated attention, a quarter of each head rotated", () => {
  const { layers, tensors, ties, maxPositions } = openModel({
    architectures: ["Qwen3_5ForConditionalGeneration"],
    image_token_id: 248_056,
    model_type: "qwen3_5",
    text_config: {
      attention_bias: false,
      attention_dropout: 0,
      attn_output_gate: true,
      dtype: "bfloat16",
      eos_token_id: 248_044,
      full_attention_interval: 4,
      head_dim: 256,
      hidden_act: "silu",
      hidden_size: 1024,
      initializer_range: 0.02,
      intermediate_size: 3584,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_num_key_heads: 16,
      linear_num_value_heads: 16,
      linear_value_head_dim: 128,
      mamba_ssm_dtype: "float32",
      max_position_embeddings: 262_144,
      mlp_only_layers: [],
      model_type: "qwen3_5_text",
      mtp_num_hidden_layers: 1,
      mtp_use_dedicated_embeddings: false,
      num_attention_heads: 8,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      output_gate_type: "swish",
      rms_norm_eps: 1e-6,
      rope_parameters: {
        mrope_interleaved: true,
        mrope_section: [11, 11, 10],
        partial_rotary_factor: 0.25,
        rope_theta: 10_000_000,
        rope_type: "default",
      },
      tie_word_embeddings: true,
      use_cache: true,
      vocab_size: 248_320,
    },
    tie_word_embeddings: true,
    vision_config: { depth: 12, hidden_size: 768 },
    vision_end_token_id: 248_054,
  });
  assert.deepEqual(
    [...layers.entries()].flatMap(([layer, { states }]) => (states.length > 0 ? [] : [layer])),
    [3, 7, 11, 15, 19, 23],
  );
  assert.deepEqual(layers[0]?.states, [{ name: "state", shape: [16, 128, 128] }]);
  assert.deepEqual(layers[0]?.recent, { width: 6144, count: 3 });
  const { attention } = layers[3]!;
  assert.deepEqual(attention?.rope, { theta: 10_000_000, width: 64, scaling: { kind: "none" } });
  assert.deepEqual([attention?.numHeads, attention?.numKeyValueHeads, attention?.headWidth], [8, 2, 256]);
  assert.deepEqual(tensors.get("model.layers.3.self_attn.q_proj.weight")?.shape, [4096, 1024]);
  assert.deepEqual([maxPositions, ties.size], [262_144, 1]);
  const numParameters = [...tensors.values()].map(({ shape }) =>
    shape.reduce((product, n) => product * n, 1),
  );
  assert.equal(
    numParameters.reduce((sum, n) => sum + n, 0),
    752_393_024,
  );
});

test("Qwen 3.5 of 35B-A3B: 256 experts beside one in every layer, of which no configuration says how wide a layer without is", () => {
  const { layers, tensors, ties } = openModel({
    architectures: ["Qwen3_5MoeForConditionalGeneration"],
    image_token_id: 248_056,
    model_type: "qwen3_5_moe",
    text_config: {
      attention_bias: false,
      attention_dropout: 0,
      attn_output_gate: true,
      dtype: "bfloat16",
      eos_token_id: 248_044,
      full_attention_interval: 4,
      head_dim: 256,
      hidden_act: "silu",
      hidden_size: 2048,
      initializer_range: 0.02,
      layer_types: Array.from({ length: 40 }, (_, i) =>
        i % 4 === 3 ? "full_attention" : "linear_attention",
      ),
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_num_key_heads: 16,
      linear_num_value_heads: 32,
      linear_value_head_dim: 128,
      mamba_ssm_dtype: "float32",
      max_position_embeddings: 262_144,
      mlp_only_layers: [],
      model_type: "qwen3_5_moe_text",
      moe_intermediate_size: 512,
      mtp_num_hidden_layers: 1,
      mtp_use_dedicated_embeddings: false,
      num_attention_heads: 16,
      num_experts: 256,
      num_experts_per_tok: 8,
      num_hidden_layers: 40,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_parameters: {
        mrope_interleaved: true,
        mrope_section: [11, 11, 10],
        partial_rotary_factor: 0.25,
        rope_theta: 10_000_000,
        rope_type: "default",
      },
      router_aux_loss_coef: 0.001,
      shared_expert_intermediate_size: 512,
      use_cache: true,
      vocab_size: 248_320,
    },
    tie_word_embeddings: false,
    video_token_id: 248_057,
    vision_config: { depth: 27, hidden_size: 1152 },
  });
  assert.deepEqual(tensors.get("model.layers.39.mlp.experts.255.down_proj.weight")?.shape, [2048, 512]);
  assert.deepEqual(tensors.get("model.layers.0.mlp.shared_expert_gate.weight")?.shape, [1, 2048]);
  assert.deepEqual([new Set(layers).size, ties.size], [2, 0]);
  const numParameters = [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  assert.equal(Math.round(numParameters / 1e8), 347);
});

/** No root of 1/2, which lint takes it for. */
const MSCALE = 707 / 1000;

test("DeepSeek V2 Lite: queries at once, values narrower than keys, as many parameters as it is said to have", () => {
  const model = openModel({
    architectures: ["DeepseekV2ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    auto_map: { AutoConfig: "configuration_deepseek.DeepseekV2Config" },
    aux_loss_alpha: 0.001,
    bos_token_id: 100_000,
    eos_token_id: 100_001,
    first_k_dense_replace: 1,
    hidden_act: "silu",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 10_944,
    kv_lora_rank: 512,
    max_position_embeddings: 163_840,
    model_type: "deepseek_v2",
    moe_intermediate_size: 1408,
    moe_layer_freq: 1,
    n_group: 1,
    n_routed_experts: 64,
    n_shared_experts: 2,
    norm_topk_prob: false,
    num_attention_heads: 16,
    num_experts_per_tok: 6,
    num_hidden_layers: 27,
    num_key_value_heads: 16,
    pretraining_tp: 1,
    q_lora_rank: null,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    rms_norm_eps: 1e-6,
    rope_scaling: {
      beta_fast: 32,
      beta_slow: 1,
      factor: 40,
      mscale: MSCALE,
      mscale_all_dim: MSCALE,
      original_max_position_embeddings: 4096,
      type: "yarn",
    },
    rope_theta: 10_000,
    routed_scaling_factor: 1,
    scoring_func: "softmax",
    seq_aux: true,
    tie_word_embeddings: false,
    topk_group: 1,
    topk_method: "greedy",
    torch_dtype: "bfloat16",
    transformers_version: "4.33.1",
    use_cache: true,
    v_head_dim: 128,
    vocab_size: 102_400,
  });
  const { layers, tensors } = model;
  const [{ attention }] = layers as [(typeof layers)[number]];
  assert.deepEqual([attention?.numHeads, attention?.headWidth, attention?.rope?.width], [16, 192, 64]);
  const stretched = 0.1 * MSCALE * Math.log(40) + 1;
  assert.ok(Math.abs(attention!.scale - 192 ** -0.5 * stretched ** 2) < 1e-12);
  assert.deepEqual(tensors.get("model.layers.1.self_attn.kv_b_proj.weight")?.shape, [4096, 512]);
  assert.deepEqual(tensors.get("model.layers.1.self_attn.o_proj.weight")?.shape, [2048, 2048]);
  assert.deepEqual(tensors.get("model.layers.1.mlp.shared_experts.up_proj.weight")?.shape, [2816, 2048]);
  assert.equal(new Set(layers).size, 2);
  assert.equal(numParametersOf(model), 15_706_484_224);
});

test("DeepSeek V3 has 671 billion parameters but for the layer that predicts a further token", () => {
  const model = openModel({
    architectures: ["DeepseekV3ForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    auto_map: { AutoConfig: "configuration_deepseek.DeepseekV3Config" },
    bos_token_id: 0,
    eos_token_id: 1,
    ep_size: 1,
    first_k_dense_replace: 3,
    hidden_act: "silu",
    hidden_size: 7168,
    initializer_range: 0.02,
    intermediate_size: 18_432,
    kv_lora_rank: 512,
    max_position_embeddings: 163_840,
    model_type: "deepseek_v3",
    moe_intermediate_size: 2048,
    moe_layer_freq: 1,
    n_group: 8,
    n_routed_experts: 256,
    n_shared_experts: 1,
    norm_topk_prob: true,
    num_attention_heads: 128,
    num_experts_per_tok: 8,
    num_hidden_layers: 61,
    num_key_value_heads: 128,
    num_nextn_predict_layers: 1,
    q_lora_rank: 1536,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    rms_norm_eps: 1e-6,
    rope_scaling: {
      beta_fast: 32,
      beta_slow: 1,
      factor: 40,
      mscale: 1,
      mscale_all_dim: 1,
      original_max_position_embeddings: 4096,
      type: "yarn",
    },
    rope_theta: 10_000,
    routed_scaling_factor: 2.5,
    scoring_func: "sigmoid",
    tie_word_embeddings: false,
    topk_group: 4,
    topk_method: "noaux_tc",
    torch_dtype: "bfloat16",
    transformers_version: "4.33.1",
    use_cache: true,
    v_head_dim: 128,
    vocab_size: 129_280,
  });
  assert.equal(new Set(model.layers).size, 2);
  assert.equal(model.tensors.get("model.layers.3.mlp.gate.e_score_correction_bias")?.role, "buffer");
  assert.equal(numParametersOf(model), 671_026_419_200);
  const { ignored } = model.checkpoint;
  assert.ok(
    ignored.test("model.layers.61.eh_proj.weight") && !ignored.test("model.layers.6.mlp.gate.weight"),
  );
});

test("GLM-4.7-Flash: values as wide as keys, one layer without experts, as many parameters as its name says", () => {
  const model = openModel({
    architectures: ["Glm4MoeLiteForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    dtype: "bfloat16",
    eos_token_id: [154_820, 154_827, 154_829],
    first_k_dense_replace: 1,
    hidden_act: "silu",
    hidden_size: 2048,
    intermediate_size: 10_240,
    kv_lora_rank: 512,
    max_position_embeddings: 202_752,
    model_type: "glm4_moe_lite",
    moe_intermediate_size: 1536,
    n_group: 1,
    n_routed_experts: 64,
    n_shared_experts: 1,
    norm_topk_prob: true,
    num_attention_heads: 20,
    num_experts_per_tok: 4,
    num_hidden_layers: 47,
    num_key_value_heads: 20,
    num_nextn_predict_layers: 1,
    pad_token_id: 154_820,
    partial_rotary_factor: 1,
    q_lora_rank: 768,
    qk_nope_head_dim: 192,
    qk_rope_head_dim: 64,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 1_000_000,
    routed_scaling_factor: 1.8,
    tie_word_embeddings: false,
    topk_group: 1,
    topk_method: "noaux_tc",
    transformers_version: "5.0.0rc0",
    v_head_dim: 256,
    vocab_size: 154_880,
  });
  const { layers } = model;
  assert.deepEqual([layers[0]?.attention?.headWidth, layers[0]?.attention?.rope?.width], [256, 64]);
  assert.deepEqual([layers[0] === layers[1], layers[1] === layers[46]], [false, true]);
  assert.equal(Math.round(numParametersOf(model) / 1e8), 299);
});

test("Qwen 2.5 VL of 3B: settings of its text part lie in the open, and its text part by itself knows no places of images", () => {
  const config = {
    architectures: ["Qwen2_5_VLForConditionalGeneration"],
    attention_dropout: 0,
    bos_token_id: 151_643,
    eos_token_id: 151_645,
    hidden_act: "silu",
    hidden_size: 2048,
    image_token_id: 151_655,
    initializer_range: 0.02,
    intermediate_size: 11_008,
    max_position_embeddings: 128_000,
    max_window_layers: 70,
    model_type: "qwen2_5_vl",
    num_attention_heads: 16,
    num_hidden_layers: 36,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_scaling: { mrope_section: [16, 24, 24], type: "mrope" },
    rope_theta: 1_000_000,
    sliding_window: 32_768,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    transformers_version: "4.41.2",
    use_cache: true,
    use_sliding_window: false,
    video_token_id: 151_656,
    vision_config: { depth: 32, hidden_act: "silu", hidden_size: 1280, window_size: 112 },
    vision_end_token_id: 151_653,
    vision_start_token_id: 151_652,
    vision_token_id: 151_654,
    vocab_size: 151_936,
  };
  const { tensors, ties, layers, maxPositions, checkpoint } = openModel(config);
  assert.deepEqual(
    [ties.size, maxPositions, numParametersOf({ tensors: tensors })],
    [1, 128_000, 3_085_938_688],
  );
  assert.deepEqual(layers[0]?.attention?.rope, { theta: 1_000_000, width: 128, scaling: { kind: "none" } });
  assert.equal(
    checkpoint.peftPath("model.layers.0.mlp.up_proj"),
    "model.language_model.layers.0.mlp.up_proj",
  );
  const own = checkpoint.ownConfig(config);
  assert.deepEqual(
    [own["model_type"], own["rope_scaling"], own["vision_config"]],
    ["qwen2", null, undefined],
  );
  assert.equal(numParametersOf(openModel(own)), 3_085_938_688);
  const stretched = { factor: 4, original_max_position_embeddings: 32_768, type: "yarn" };
  assert.deepEqual(
    checkpoint.ownConfig({ ...config, rope_scaling: { ...stretched, mrope_section: [16, 24, 24] } })[
      "rope_scaling"
    ],
    stretched,
  );
  // Tools write what lay in the open into text_config, tokens of images among it.
  const { vision_config: vision, ...text } = config;
  const nested = { architectures: config.architectures, model_type: "qwen2_5_vl", text_config: text };
  assert.equal(numParametersOf(openModel({ ...nested, vision_config: vision })), 3_085_938_688);
  // Qwen 2 VL of 2B says as much of itself, but for its sizes.
  const older = {
    ...config,
    architectures: ["Qwen2VLForConditionalGeneration"],
    hidden_size: 1536,
    intermediate_size: 8960,
    max_position_embeddings: 32_768,
    max_window_layers: 28,
    model_type: "qwen2_vl",
    num_attention_heads: 12,
    num_hidden_layers: 28,
  };
  assert.equal(numParametersOf(openModel(older)), 1_543_714_304);
});

test("Qwen 3 VL of 2B: its text part is a Qwen 3, to three layers of which images alone give more", () => {
  const { tensors, ties, layers, maxPositions, settings } = openModel({
    architectures: ["Qwen3VLForConditionalGeneration"],
    image_token_id: 151_655,
    model_type: "qwen3_vl",
    text_config: {
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 151_643,
      dtype: "bfloat16",
      eos_token_id: 151_645,
      head_dim: 128,
      hidden_act: "silu",
      hidden_size: 2048,
      initializer_range: 0.02,
      intermediate_size: 6144,
      max_position_embeddings: 262_144,
      model_type: "qwen3_vl_text",
      num_attention_heads: 16,
      num_hidden_layers: 28,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-6,
      rope_scaling: { mrope_interleaved: true, mrope_section: [24, 20, 20], rope_type: "default" },
      rope_theta: 5_000_000,
      tie_word_embeddings: true,
      use_cache: true,
      vocab_size: 151_936,
    },
    tie_word_embeddings: true,
    transformers_version: "4.57.0.dev0",
    video_token_id: 151_656,
    vision_config: { deepstack_visual_indexes: [5, 11, 17], depth: 24, hidden_size: 1024 },
    vision_end_token_id: 151_653,
    vision_start_token_id: 151_652,
  });
  assert.deepEqual(
    [ties.size, maxPositions, numParametersOf({ tensors: tensors })],
    [1, 262_144, 1_720_574_976],
  );
  assert.deepEqual(layers[0]?.attention?.rope, { theta: 5_000_000, width: 128, scaling: { kind: "none" } });
  assert.equal(settings["num_deep_layers"], 3);
});

test("SmolVLM of 256M: its text part is a SmolLM2 with a head of its own; what reads images is told beside it, and in it", () => {
  const config = {
    architectures: ["Idefics3ForConditionalGeneration"],
    image_token_id: 49_190,
    model_type: "idefics3",
    scale_factor: 4,
    text_config: {
      _flash_attn_2_enabled: true,
      _name_or_path: "None",
      architectures: ["VLlama3ForCausalLM"],
      head_dim: 64,
      hidden_size: 576,
      intermediate_size: 1536,
      is_llama_config: true,
      max_position_embeddings: 8192,
      model_type: "llama",
      neftune_noise_alpha: 0,
      num_attention_heads: 9,
      num_hidden_layers: 30,
      num_key_value_heads: 3,
      pad_token_id: 2,
      perceiver_config: { hidden_act: "silu", model_type: "vllama3", resampler_depth: 6 },
      pixel_shuffle_factor: 4,
      qk_layer_norms: false,
      rms_norm_eps: 1e-5,
      rope_interleaved: false,
      rope_theta: 100_000,
      torch_dtype: "bfloat16",
      "transformers.js_config": { kv_cache_dtype: { fp16: "float16" } },
      use_cache: true,
      use_resampler: false,
      vocab_size: 49_280,
    },
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    transformers_version: "4.46.0",
    use_cache: true,
    vision_config: { hidden_size: 768, image_size: 512, model_type: "idefics3", patch_size: 16 },
    vocab_size: 49_280,
  };
  const { tensors, ties, checkpoint } = openModel(config);
  assert.deepEqual([ties.size, numParametersOf({ tensors: tensors })], [0, 162_974_016]);
  assert.equal(
    checkpoint.rename("model.text_model.layers.0.mlp.up_proj.weight"),
    "model.layers.0.mlp.up_proj.weight",
  );
  assert.ok(checkpoint.ignored.test("model.connector.modality_projection.proj.weight"));
  assert.deepEqual(
    ["model_type", "architectures", "perceiver_config"].map((key) => checkpoint.ownConfig(config)[key]),
    ["llama", ["LlamaForCausalLM"], undefined],
  );
  const { text_config: text } = config;
  const second = openModel({
    ...config,
    model_type: "smolvlm",
    text_config: { ...text, model_type: "llama" },
  });
  assert.deepEqual([...second.tensors.keys()], [...tensors.keys()]);
});

test("Granite 3.1 of 3B-A800M: 40 experts in every layer", () => {
  const { tensors, ties, checkpoint } = openModel({
    architectures: ["GraniteMoeForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    attention_multiplier: 0.015625,
    bos_token_id: 0,
    embedding_multiplier: 12,
    eos_token_id: 0,
    hidden_act: "silu",
    hidden_size: 1536,
    initializer_range: 0.02,
    intermediate_size: 512,
    logits_scaling: 6,
    max_position_embeddings: 131_072,
    model_type: "granitemoe",
    num_attention_heads: 24,
    num_experts_per_tok: 8,
    num_hidden_layers: 32,
    num_key_value_heads: 8,
    num_local_experts: 40,
    output_router_logits: false,
    pad_token_id: 0,
    residual_multiplier: 0.22,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 10_000_000,
    router_aux_loss_coef: 0,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    transformers_version: "4.46.0.dev0",
    use_cache: true,
    vocab_size: 49_155,
  });
  assert.deepEqual([ties.size, Math.round(numParametersOf({ tensors: tensors }) / 1e7)], [1, 330]);
  const prefix = "model.layers.31.block_sparse_moe.";
  assert.deepEqual(tensors.get(`${prefix}router.weight`)?.shape, [40, 1536]);
  const place = { name: `${prefix}input_linear.weight`, stack: { index: 79, numParts: 2 } };
  assert.deepEqual(checkpoint.inFolder(`${prefix}experts.39.up_proj.weight`), place);
  const router = { name: `${prefix}router.layer.weight`, stack: null };
  assert.deepEqual(checkpoint.inFolder(`${prefix}router.weight`), router);
  assert.equal(checkpoint.rename(router.name), `${prefix}router.weight`);
});

test("Granite 4 H-Tiny of 7B-A1B: 64 experts beside the part of all tokens, in layers of both kinds", () => {
  const { tensors, layers } = openModel({
    architectures: ["GraniteMoeHybridForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    attention_multiplier: 0.0078125,
    bos_token_id: 100_257,
    embedding_multiplier: 12,
    eos_token_id: 100_257,
    hidden_act: "silu",
    hidden_size: 1536,
    init_method: "mup",
    initializer_range: 0.1,
    intermediate_size: 512,
    layer_types: Array.from({ length: 40 }, (_, i) => (i % 10 === 5 ? "attention" : "mamba")),
    logits_scaling: 6,
    mamba_chunk_size: 256,
    mamba_conv_bias: true,
    mamba_d_conv: 4,
    mamba_d_head: 64,
    mamba_d_state: 128,
    mamba_expand: 2,
    mamba_n_groups: 1,
    mamba_n_heads: 48,
    mamba_proj_bias: false,
    max_position_embeddings: 131_072,
    model_type: "granitemoehybrid",
    normalization_function: "rmsnorm",
    num_attention_heads: 12,
    num_experts_per_tok: 6,
    num_hidden_layers: 40,
    num_key_value_heads: 4,
    num_local_experts: 64,
    output_router_logits: false,
    pad_token_id: 100_256,
    position_embedding_type: "nope",
    residual_multiplier: 0.22,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 10_000,
    router_aux_loss_coef: 0.01,
    shared_intermediate_size: 1024,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    transformers_version: "4.56.0",
    use_cache: true,
    vocab_size: 100_352,
  });
  assert.equal(new Set(layers).size, 2);
  assert.deepEqual(tensors.get("model.layers.0.shared_mlp.input_linear.weight")?.shape, [2048, 1536]);
  assert.deepEqual(
    tensors.get("model.layers.5.block_sparse_moe.experts.63.down_proj.weight")?.shape,
    [1536, 512],
  );
  assert.equal(Math.round(numParametersOf({ tensors: tensors }) / 1e7), 694);
});

test("ERNIE 4.5 of 21B-A3B: experts above the lowest layer, beside two that all tokens share", () => {
  const { tensors, ties, layers, checkpoint } = openModel({
    architectures: ["Ernie4_5_MoeForCausalLM"],
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: "silu",
    hidden_size: 2560,
    intermediate_size: 12_288,
    max_position_embeddings: 131_072,
    model_type: "ernie4_5_moe",
    moe_capacity: [64, 64, 64],
    moe_gate: "topk",
    moe_intermediate_size: 1536,
    moe_k: 6,
    moe_layer_interval: 1,
    moe_layer_start_index: 1,
    moe_num_experts: 64,
    moe_num_shared_experts: 2,
    moe_use_aux_free: true,
    num_attention_heads: 20,
    num_hidden_layers: 28,
    num_key_value_heads: 4,
    num_nextn_predict_layers: 1,
    pad_token_id: 0,
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    use_bias: false,
    use_cache: false,
    vocab_size: 103_424,
  });
  assert.deepEqual([new Set(layers).size, ties.size], [2, 1]);
  assert.deepEqual(tensors.get("model.layers.0.mlp.up_proj.weight")?.shape, [12_288, 2560]);
  assert.deepEqual(tensors.get("model.layers.1.mlp.shared_experts.up_proj.weight")?.shape, [3072, 2560]);
  assert.equal(tensors.get("model.layers.27.mlp.moe_statics.e_score_correction_bias")?.role, "buffer");
  assert.ok(checkpoint.ignored.test("model.mtp_block.0.self_attn.q_proj.weight"));
  assert.equal(Math.round(numParametersOf({ tensors: tensors }) / 1e8), 218);
});

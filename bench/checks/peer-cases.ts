/** @file The adapters that `npm run check:peers` loads with peft; a new variant of a method is a line here. */

import { TINY_CONFIGS } from "../../test/tiny/configs.ts";
import type { TinyModelOptions } from "../../test/tiny/model.ts";

/** The text part of a model with embeddings for each layer, and layers that read keys of others. */
const LINKED = TINY_CONFIGS["gemma4"]!["text_config"] as object;

/** The tiny models that the adapters sit on. */
export const PEER_MODELS = {
  plain: { config: { tie_word_embeddings: false } },
  biased: { config: { tie_word_embeddings: true, attention_bias: true, mlp_bias: true } },
  classifier: {
    config: {
      architectures: ["LlamaForSequenceClassification"],
      id2label: { 0: "bad", 1: "good", 2: "neither" },
      tie_word_embeddings: false,
      pad_token_id: 258,
    },
  },
  scorer: { modelType: "bert", config: { id2label: { 0: "score" } } },
  bert: { modelType: "bert" },
  roberta: { modelType: "roberta" },
  "xlm-roberta": { modelType: "xlm-roberta" },
  camembert: { modelType: "camembert" },
  electra: { modelType: "electra" },
  "deberta-v2": { modelType: "deberta-v2" },
  mpnet: { modelType: "mpnet" },
  distilbert: { modelType: "distilbert" },
  modernbert: { modelType: "modernbert" },
  eurobert: { modelType: "eurobert" },
  mistral: { modelType: "mistral" },
  ministral: { modelType: "ministral" },
  ministral3: { modelType: "ministral3" },
  qwen2: { modelType: "qwen2" },
  qwen3: { modelType: "qwen3" },
  gemma: { modelType: "gemma" },
  gemma2: { modelType: "gemma2" },
  vaultgemma: { modelType: "vaultgemma" },
  gemma3_text: { modelType: "gemma3_text" },
  gemma4_text: { modelType: "gemma4_text", config: { enable_moe_block: false, pad_token_id: 0 } },
  gemma4_linked: {
    modelType: "gemma4_text",
    config: { ...LINKED, enable_moe_block: false, pad_token_id: 0 },
  },
  "gemma4_text, experts": { modelType: "gemma4_text", config: { pad_token_id: 0 } },
  gpt2: { modelType: "gpt2" },
  gpt_neo: { modelType: "gpt_neo" },
  gpt_neox: { modelType: "gpt_neox", config: { pad_token_id: 0 } },
  opt: { modelType: "opt" },
  granite: { modelType: "granite", config: { pad_token_id: 0 } },
  granitemoe: { modelType: "granitemoe", config: { pad_token_id: 0 } },
  "granitemoehybrid, experts": {
    modelType: "granitemoehybrid",
    config: { pad_token_id: 0, num_local_experts: 4, num_experts_per_tok: 2 },
  },
  granitemoehybrid: { modelType: "granitemoehybrid", config: { pad_token_id: 0 } },
  falcon_h1: { modelType: "falcon_h1", config: { pad_token_id: 0 } },
  lfm2: { modelType: "lfm2", config: { pad_token_id: 0 } },
  lfm2_moe: { modelType: "lfm2_moe", config: { pad_token_id: 0 } },
  gpt_oss: { modelType: "gpt_oss", config: { pad_token_id: 0 } },
  qwen3_5_text: { modelType: "qwen3_5_text", config: { pad_token_id: 0 } },
  ernie4_5: { modelType: "ernie4_5" },
  exaone: { modelType: "exaone" },
  ernie4_5_moe: { modelType: "ernie4_5_moe" },
  exaone4: { modelType: "exaone4" },
  glm: { modelType: "glm", config: { pad_token_id: 0 } },
  glm4: { modelType: "glm4", config: { pad_token_id: 0 } },
  hunyuan_v1_dense: { modelType: "hunyuan_v1_dense" },
  arcee: { modelType: "arcee" },
  seed_oss: { modelType: "seed_oss" },
  nanochat: { modelType: "nanochat" },
  "modernbert-decoder": { modelType: "modernbert-decoder", config: { pad_token_id: 0 } },
  apertus: { modelType: "apertus" },
  helium: { modelType: "helium" },
  nemotron: { modelType: "nemotron", config: { pad_token_id: 0 } },
  phi: { modelType: "phi", config: { pad_token_id: 0 } },
  // By default, transformers uses a token for padding that the tiny vocabulary lacks.
  phi3: { modelType: "phi3", config: { pad_token_id: 0 } },
  smollm3: { modelType: "smollm3", config: { pad_token_id: 0 } },
  cohere: { modelType: "cohere", config: { pad_token_id: 0 } },
  cohere2: { modelType: "cohere2", config: { pad_token_id: 0 } },
  stablelm: { modelType: "stablelm" },
  starcoder2: { modelType: "starcoder2", config: { pad_token_id: 0 } },
  olmo: { modelType: "olmo" },
  olmo2: { modelType: "olmo2" },
  olmo3: { modelType: "olmo3", config: { pad_token_id: 0 } },
  mixtral: { modelType: "mixtral" },
  qwen2_moe: { modelType: "qwen2_moe" },
  qwen3_moe: { modelType: "qwen3_moe" },
  qwen3_5_moe_text: { modelType: "qwen3_5_moe_text", config: { pad_token_id: 0 } },
  olmoe: { modelType: "olmoe" },
  deepseek_v2: { modelType: "deepseek_v2", config: { pad_token_id: 0 } },
  deepseek_v3: { modelType: "deepseek_v3", config: { pad_token_id: 0 } },
  glm4_moe_lite: { modelType: "glm4_moe_lite", config: { pad_token_id: 0 } },
} satisfies Readonly<Record<string, TinyModelOptions>>;

/** One adapter folder. */
export interface PeerCase {
  /** Short words for the table. */
  readonly name: string;
  readonly method: string;
  readonly model: keyof typeof PEER_MODELS;
  /** The method's options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Target modules; null: the method's own. */
  readonly modules: string | readonly string[] | null;
}

/** Cases of one method; by default on the plain model, with default options and modules. */
function casesOf(
  method: string,
  cases: readonly (Pick<PeerCase, "name"> & Partial<PeerCase>)[],
): readonly PeerCase[] {
  return cases.map((each) => ({ method, model: "plain", options: {}, modules: null, ...each }));
}

const REGEX = ".*\\.1\\.(self_attn|mlp)\\.(q|down)_proj";

/** Variants of each method on Llama, and on other models features that only they have. */
const METHOD_CASES: readonly PeerCase[] = [
  ...casesOf("lora", [
    { name: "lora", options: { rank: 4, alpha: 6 } },
    { name: "lora, biases", model: "biased", options: { rank: 4, alpha: 6 } },
    { name: "lora, a bias of its own", model: "biased", options: { rank: 4, alpha: 6, loraBias: true } },
    {
      name: "lora, the modules' biases",
      model: "biased",
      options: { rank: 4, bias: "lora_only" },
      modules: ["q_proj", "down_proj"],
    },
    {
      name: "lora, all biases",
      model: "biased",
      options: { rank: 4, bias: "all", loraBias: true },
      modules: ["q_proj"],
    },
    {
      name: "lora, single tokens",
      options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
      modules: ["q_proj"],
    },
    {
      name: "lora, single tokens of a tied head",
      model: "biased",
      options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
      modules: ["q_proj"],
    },
    { name: "lora, two modules", options: { rank: 4 }, modules: ["q_proj", "up_proj"] },
    { name: "lora, expression", options: { rank: 4 }, modules: REGEX },
    {
      name: "lora, patterns",
      options: {
        rank: 4,
        alpha: 6,
        rankPattern: { "layers.1.mlp.down_proj": 2, v_proj: 5 },
        alphaPattern: { q_proj: 3 },
      },
    },
    { name: "lora, rslora", options: { rank: 4, alpha: 6, rslora: true } },
    {
      name: "lora, embedding and head",
      options: { rank: 4 },
      modules: ["q_proj", "embed_tokens", "lm_head"],
    },
    {
      name: "lora, saved modules",
      options: { rank: 4, modulesToSave: ["lm_head", "input_layernorm"] },
      modules: ["v_proj"],
    },
    { name: "lora, saved embedding", options: { rank: 4, modulesToSave: ["embed_tokens"] } },
    { name: "lora, pissa", options: { rank: 4, init: "pissa" } },
    { name: "lora, olora", model: "biased", options: { rank: 4, init: "olora" } },
    { name: "lora, classes", model: "classifier", options: { rank: 4 } },
    { name: "lora, classes of roberta", model: "roberta", options: { rank: 4 } },
    {
      name: "lora, classes and all biases",
      model: "bert",
      options: { rank: 4, bias: "all" },
      modules: ["query"],
    },
  ]),
  ...casesOf("dora", [
    { name: "dora", options: { rank: 4 } },
    {
      name: "dora, single tokens of a scaled embedding",
      model: "gemma3_text",
      options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
      modules: ["q_proj"],
    },
    {
      name: "dora, the modules' biases",
      model: "biased",
      options: { rank: 4, bias: "lora_only" },
      modules: ["v_proj"],
    },
    { name: "dora, pissa", options: { rank: 4, init: "pissa" } },
    { name: "dora, classes of bert", model: "bert", options: { rank: 4 } },
    { name: "dora, biases", model: "biased", options: { rank: 4, alpha: 6, rankPattern: { down_proj: 2 } } },
    {
      name: "dora, saved head",
      options: { rank: 4, rslora: true, modulesToSave: ["lm_head"] },
      modules: ["k_proj", "up_proj"],
    },
  ]),
  ...casesOf("trainable-tokens", [
    ...(["plain", "biased", "gemma3_text", "gpt2"] as const).map((model) => ({
      name: `single tokens alone, ${model}`,
      model,
      options: { trainableTokenIndices: [258, 7, 65] },
    })),
    {
      name: "single tokens alone, of both tables",
      options: { trainableTokenIndices: { embed_tokens: [258, 7], lm_head: [258, 7] } },
    },
  ]),
  ...casesOf("ia3", [
    { name: "ia3" },
    { name: "ia3, classes", model: "classifier" },
    { name: "ia3, saved modules", options: { modulesToSave: ["lm_head", "norm"] } },
    { name: "ia3, biases", model: "biased" },
    {
      name: "ia3, modules",
      model: "biased",
      options: { feedforwardModules: ["up_proj"] },
      modules: ["q_proj", "o_proj", "up_proj"],
    },
  ]),
  ...casesOf("road", [
    ...["road_1", "road_2", "road_4"].map((variant) => ({
      name: variant.replace("_", " "),
      options: { variant },
    })),
    { name: "road, classes", model: "bert" },
    { name: "road, biases", model: "biased" },
    { name: "road, groups of 2", options: { groupSize: 2 }, modules: ["q_proj", "v_proj", "down_proj"] },
    { name: "road, half the pairs", options: { pairs: "lower" } },
  ]),
  ...casesOf("vera", [
    { name: "vera", options: { rank: 5 } },
    { name: "vera, classes", model: "roberta", options: { rank: 5 }, modules: ["query", "value"] },
    { name: "vera, biases", model: "biased", options: { rank: 5 } },
    {
      name: "vera, expression",
      options: { rank: 3, dInitial: 0.5, dropout: 0.1, projectionSeed: 7 },
      modules: REGEX,
    },
  ]),
];

/** Families for classes: their cases are among those above. */
const OF_CLASSES: readonly string[] = ["bert", "roberta", "xlm-roberta"];
const OF_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"];

/** Modules other than experts, in families whose experts of a layer are one tensor in transformers, which is not a module. */
const BESIDE_EXPERTS: Readonly<Record<string, readonly string[]>> = {
  mixtral: OF_ATTENTION,
  granitemoe: OF_ATTENTION,
  ernie4_5_moe: OF_ATTENTION,
  "granitemoehybrid, experts": ["in_proj", "q_proj", "input_linear", "output_linear"],
  qwen2_moe: OF_ATTENTION,
  qwen3_moe: OF_ATTENTION,
  qwen3_5_moe_text: ["in_proj_qkv", "out_proj", "q_proj", "shared_expert.up_proj"],
  olmoe: OF_ATTENTION,
  deepseek_v2: ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
  deepseek_v3: ["q_a_proj", "q_b_proj", "kv_b_proj", "o_proj"],
  glm4_moe_lite: ["q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
  lfm2_moe: ["in_proj", "out_proj", "q_proj", "v_proj"],
  gpt_oss: OF_ATTENTION,
  "gemma4_text, experts": [...OF_ATTENTION, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "router.proj"],
};

/** Modules on which peft has LoRA: in Falcon H1 it refuses the projection of a state-space layer's output. */
const BESIDE_REFUSED: Readonly<Record<string, readonly string[]>> = {
  falcon_h1: [...OF_ATTENTION, "in_proj", "gate_proj", "up_proj", "down_proj"],
};

/** Methods that peft does not have for matrices stored as [in, out]. */
const NOT_TRANSPOSED = ["road"];

/** The methods that peft has, on every family for text except the one of all other cases. */
const FAMILY_CASES: readonly PeerCase[] = (Object.keys(PEER_MODELS) as (keyof typeof PEER_MODELS)[])
  .filter((model) => "modelType" in PEER_MODELS[model] && !OF_CLASSES.includes(model))
  .flatMap((model) =>
    ["lora", "dora", "ia3", "road", "vera"]
      .filter((method) => model !== "gpt2" || !NOT_TRANSPOSED.includes(method))
      .map((method) => {
        const beside = BESIDE_EXPERTS[model];
        const isLora = ["lora", "dora"].includes(method);
        const modules = beside ?? (isLora ? BESIDE_REFUSED[model] : undefined) ?? null;
        const options = method === "ia3" && beside ? { feedforwardModules: [] } : {};
        return { name: `${method}, ${model}`, method, model, options, modules };
      }),
  );

const ALL_STACKS = { rank: 3, targetParameters: ["gate_up_proj", "down_proj", "gate.weight"] };

/** Routers and whole stacks of experts, alone and together with modules; embeddings, by the names of each family. */
const GRANITE_STACKS = { rank: 3, targetParameters: ["gate_up_proj", "down_proj", "router.weight"] };
const TENSOR_CASES = casesOf("lora", [
  { name: "lora, stacks of olmoe", model: "olmoe", options: ALL_STACKS, modules: OF_ATTENTION },
  { name: "lora, stacks of mixtral", model: "mixtral", options: ALL_STACKS, modules: OF_ATTENTION },
  {
    name: "lora, stacks of lfm2_moe",
    model: "lfm2_moe",
    options: ALL_STACKS,
    modules: ["q_proj", "in_proj"],
  },
  { name: "lora, stacks of granitemoe", model: "granitemoe", options: GRANITE_STACKS, modules: OF_ATTENTION },
  {
    name: "lora, stacks of deepseek_v3",
    model: "deepseek_v3",
    options: ALL_STACKS,
    modules: ["q_a_proj", "kv_b_proj"],
  },
  {
    name: "lora, stacks of gpt_oss",
    model: "gpt_oss",
    options: { ...ALL_STACKS, targetParameters: ["gate_up_proj", "down_proj", "router.weight"] },
    modules: OF_ATTENTION,
  },
  {
    name: "lora, stacks of gemma4_text",
    model: "gemma4_text, experts",
    options: { ...ALL_STACKS, targetParameters: ["gate_up_proj", "down_proj", "router.proj.weight"] },
    modules: OF_ATTENTION,
  },
  {
    name: "lora, one stack of qwen3_moe",
    model: "qwen3_moe",
    options: { rank: 4, targetParameters: ["experts.down_proj"] },
    modules: [],
  },
  { name: "lora, embedding of gpt2", model: "gpt2", options: { rank: 4 }, modules: ["c_attn", "wte"] },
  {
    name: "lora, embedding of gemma3_text",
    model: "gemma3_text",
    options: { rank: 4 },
    modules: ["q_proj", "embed_tokens"],
  },
  {
    name: "lora, head of phi3",
    model: "phi3",
    options: { rank: 4 },
    modules: ["qkv_proj", "gate_up_proj", "lm_head"],
  },
]);

export const PEER_CASES: readonly PeerCase[] = [...METHOD_CASES, ...FAMILY_CASES, ...TENSOR_CASES];

/** Methods that peft cannot load, with the reason. */
export const WITHOUT_PEER: Readonly<Record<string, string>> = {
  bitfit: "peft has no such type",
  full: "it writes a model folder",
  peqa: "peft has no such type",
  "road-lora": "peft has no such type",
  snell: "peft has no such type",
};

/** @file The adapters that `npm run check:peers` has peft load; a new variant of a method is a line here. */

import type { TinyModelOptions } from "../../test/tiny/model.ts";

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
  bert: { modelType: "bert" },
  roberta: { modelType: "roberta" },
  "xlm-roberta": { modelType: "xlm-roberta" },
  distilbert: { modelType: "distilbert" },
  modernbert: { modelType: "modernbert" },
  mistral: { modelType: "mistral" },
  ministral: { modelType: "ministral" },
  qwen2: { modelType: "qwen2" },
  qwen3: { modelType: "qwen3" },
  gemma: { modelType: "gemma" },
  gemma2: { modelType: "gemma2" },
  gemma3_text: { modelType: "gemma3_text" },
  gpt2: { modelType: "gpt2" },
  gpt_neox: { modelType: "gpt_neox", config: { pad_token_id: 0 } },
  opt: { modelType: "opt" },
  granite: { modelType: "granite", config: { pad_token_id: 0 } },
  ernie4_5: { modelType: "ernie4_5" },
  exaone4: { modelType: "exaone4" },
  glm4: { modelType: "glm4", config: { pad_token_id: 0 } },
  hunyuan_v1_dense: { modelType: "hunyuan_v1_dense" },
  arcee: { modelType: "arcee" },
  seed_oss: { modelType: "seed_oss" },
  phi: { modelType: "phi", config: { pad_token_id: 0 } },
  // Without one of its own, transformers takes a token for padding that the tiny vocabulary lacks.
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
  olmoe: { modelType: "olmoe" },
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

const REGEX = ".*\\.1\\.(self_attn|mlp)\\.(q|down)_proj";

const LLAMA_CASES: readonly PeerCase[] = [
  { name: "lora", method: "lora", model: "plain", options: { rank: 4, alpha: 6 }, modules: null },
  { name: "lora, biases", method: "lora", model: "biased", options: { rank: 4, alpha: 6 }, modules: null },
  {
    name: "lora, a bias of its own",
    method: "lora",
    model: "biased",
    options: { rank: 4, alpha: 6, loraBias: true },
    modules: null,
  },
  {
    name: "lora, the modules' biases",
    method: "lora",
    model: "biased",
    options: { rank: 4, bias: "lora_only" },
    modules: ["q_proj", "down_proj"],
  },
  {
    name: "lora, all biases",
    method: "lora",
    model: "biased",
    options: { rank: 4, bias: "all", loraBias: true },
    modules: ["q_proj"],
  },
  {
    name: "lora, single tokens",
    method: "lora",
    model: "plain",
    options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
    modules: ["q_proj"],
  },
  {
    name: "lora, single tokens of a tied head",
    method: "lora",
    model: "biased",
    options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
    modules: ["q_proj"],
  },
  {
    name: "dora, single tokens of a scaled embedding",
    method: "dora",
    model: "gemma3_text",
    options: { rank: 4, trainableTokenIndices: [258, 7, 65] },
    modules: ["q_proj"],
  },
  ...(["plain", "biased", "gemma3_text", "gpt2"] as const).map((model) => ({
    name: `single tokens alone, ${model}`,
    method: "trainable-tokens",
    model,
    options: { trainableTokenIndices: [258, 7, 65] },
    modules: null,
  })),
  {
    name: "single tokens alone, of both tables",
    method: "trainable-tokens",
    model: "plain",
    options: { trainableTokenIndices: { embed_tokens: [258, 7], lm_head: [258, 7] } },
    modules: null,
  },
  {
    name: "dora, the modules' biases",
    method: "dora",
    model: "biased",
    options: { rank: 4, bias: "lora_only" },
    modules: ["v_proj"],
  },
  {
    name: "lora, two modules",
    method: "lora",
    model: "plain",
    options: { rank: 4 },
    modules: ["q_proj", "up_proj"],
  },
  { name: "lora, expression", method: "lora", model: "plain", options: { rank: 4 }, modules: REGEX },
  {
    name: "lora, patterns",
    method: "lora",
    model: "plain",
    options: {
      rank: 4,
      alpha: 6,
      rankPattern: { "layers.1.mlp.down_proj": 2, v_proj: 5 },
      alphaPattern: { q_proj: 3 },
    },
    modules: null,
  },
  {
    name: "lora, rslora",
    method: "lora",
    model: "plain",
    options: { rank: 4, alpha: 6, rslora: true },
    modules: null,
  },
  {
    name: "lora, embedding and head",
    method: "lora",
    model: "plain",
    options: { rank: 4 },
    modules: ["q_proj", "embed_tokens", "lm_head"],
  },
  {
    name: "lora, saved modules",
    method: "lora",
    model: "plain",
    options: { rank: 4, modulesToSave: ["lm_head", "input_layernorm"] },
    modules: ["v_proj"],
  },
  {
    name: "lora, saved embedding",
    method: "lora",
    model: "plain",
    options: { rank: 4, modulesToSave: ["embed_tokens"] },
    modules: null,
  },
  {
    name: "dora, pissa",
    method: "dora",
    model: "plain",
    options: { rank: 4, init: "pissa" },
    modules: null,
  },
  { name: "lora, pissa", method: "lora", model: "plain", options: { rank: 4, init: "pissa" }, modules: null },
  {
    name: "lora, olora",
    method: "lora",
    model: "biased",
    options: { rank: 4, init: "olora" },
    modules: null,
  },
  { name: "dora", method: "dora", model: "plain", options: { rank: 4 }, modules: null },
  { name: "lora, classes", method: "lora", model: "classifier", options: { rank: 4 }, modules: null },
  { name: "dora, classes of bert", method: "dora", model: "bert", options: { rank: 4 }, modules: null },
  { name: "lora, classes of roberta", method: "lora", model: "roberta", options: { rank: 4 }, modules: null },
  {
    name: "lora, classes and all biases",
    method: "lora",
    model: "bert",
    options: { rank: 4, bias: "all" },
    modules: ["query"],
  },
  { name: "ia3, classes", method: "ia3", model: "classifier", options: {}, modules: null },
  { name: "road, classes", method: "road", model: "bert", options: {}, modules: null },
  {
    name: "vera, classes",
    method: "vera",
    model: "roberta",
    options: { rank: 5 },
    modules: ["query", "value"],
  },
  {
    name: "ia3, saved modules",
    method: "ia3",
    model: "plain",
    options: { modulesToSave: ["lm_head", "norm"] },
    modules: null,
  },
  {
    name: "dora, biases",
    method: "dora",
    model: "biased",
    options: { rank: 4, alpha: 6, rankPattern: { down_proj: 2 } },
    modules: null,
  },
  {
    name: "dora, saved head",
    method: "dora",
    model: "plain",
    options: { rank: 4, rslora: true, modulesToSave: ["lm_head"] },
    modules: ["k_proj", "up_proj"],
  },
  { name: "ia3", method: "ia3", model: "plain", options: {}, modules: null },
  { name: "ia3, biases", method: "ia3", model: "biased", options: {}, modules: null },
  {
    name: "ia3, modules",
    method: "ia3",
    model: "biased",
    options: { feedforwardModules: ["up_proj"] },
    modules: ["q_proj", "o_proj", "up_proj"],
  },
  ...["road_1", "road_2", "road_4"].map((variant) => ({
    name: variant.replace("_", " "),
    method: "road",
    model: "plain" as const,
    options: { variant },
    modules: null,
  })),
  { name: "road, biases", method: "road", model: "biased", options: {}, modules: null },
  {
    name: "road, groups of 2",
    method: "road",
    model: "plain",
    options: { groupSize: 2 },
    modules: ["q_proj", "v_proj", "down_proj"],
  },
  {
    name: "road, half the pairs",
    method: "road",
    model: "plain",
    options: { pairs: "lower" },
    modules: null,
  },
  { name: "vera", method: "vera", model: "plain", options: { rank: 5 }, modules: null },
  { name: "vera, biases", method: "vera", model: "biased", options: { rank: 5 }, modules: null },
  {
    name: "vera, expression",
    method: "vera",
    model: "plain",
    options: { rank: 3, dInitial: 0.5, dropout: 0.1, projectionSeed: 7 },
    modules: REGEX,
  },
];

/** Families that tell classes: their cases stand with those of classes above. */
const OF_CLASSES: readonly string[] = ["bert", "roberta", "xlm-roberta"];
const OF_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"];

/** Modules of the families for which a method's own choice is not one that peft knows. */
const FAMILY_MODULES: Readonly<Record<string, readonly string[]>> = {
  // transformers has all experts of a layer as one tensor, which is no module.
  mixtral: OF_ATTENTION,
  qwen2_moe: OF_ATTENTION,
  qwen3_moe: OF_ATTENTION,
  olmoe: OF_ATTENTION,
};

/** Matrices stored as [in, out]; peft has this method for others only. */
const NOT_TRANSPOSED = ["road"];

/** The methods that peft has, on every family of text but the one that all other cases are of. */
const FAMILY_CASES: readonly PeerCase[] = (Object.keys(PEER_MODELS) as (keyof typeof PEER_MODELS)[])
  .filter((model) => "modelType" in PEER_MODELS[model] && !OF_CLASSES.includes(model))
  .flatMap((model) =>
    ["lora", "dora", "ia3", "road", "vera"]
      .filter((method) => model !== "gpt2" || !NOT_TRANSPOSED.includes(method))
      .map((method) => ({
        name: `${method}, ${model}`,
        method,
        model,
        options: method === "ia3" && model in FAMILY_MODULES ? { feedforwardModules: [] } : {},
        modules: FAMILY_MODULES[model] ?? null,
      })),
  );

/** Routers and whole stacks of experts, alone and beside modules. */
const STACK_CASES: readonly PeerCase[] = [
  {
    name: "lora, stacks of olmoe",
    model: "olmoe" as const,
    options: { rank: 3, targetParameters: ["gate_up_proj", "down_proj", "gate.weight"] },
    modules: OF_ATTENTION,
  },
  {
    name: "lora, stacks of mixtral",
    model: "mixtral" as const,
    options: { rank: 3, targetParameters: ["gate_up_proj", "down_proj", "gate.weight"] },
    modules: OF_ATTENTION,
  },
  {
    name: "lora, one stack of qwen3_moe",
    model: "qwen3_moe" as const,
    options: { rank: 4, targetParameters: ["experts.down_proj"] },
    modules: [],
  },
].map((each) => ({ ...each, method: "lora" }));

/** Embeddings with an adapter, by the names of each family. */
const EMBEDDING_CASES: readonly PeerCase[] = [
  { name: "lora, embedding of gpt2", model: "gpt2" as const, modules: ["c_attn", "wte"] },
  {
    name: "lora, embedding of gemma3_text",
    model: "gemma3_text" as const,
    modules: ["q_proj", "embed_tokens"],
  },
  { name: "lora, head of phi3", model: "phi3" as const, modules: ["qkv_proj", "gate_up_proj", "lm_head"] },
].map((each) => ({ ...each, method: "lora", options: { rank: 4 } }));

export const PEER_CASES: readonly PeerCase[] = [
  ...LLAMA_CASES,
  ...FAMILY_CASES,
  ...STACK_CASES,
  ...EMBEDDING_CASES,
];

/** Methods that peft cannot load, with the reason. */
export const WITHOUT_PEER: Readonly<Record<string, string>> = {
  bitfit: "peft has no such type",
  full: "it writes a model folder",
  peqa: "peft has no such type",
  "road-lora": "peft has no such type",
  snell: "peft has no such type",
};

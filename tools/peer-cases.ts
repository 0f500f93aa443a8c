/** @file The adapters that `npm run check:peers` has peft load; a new variant of a method is a line here. */

/** Settings of the tiny models that the adapters sit on. */
export const PEER_MODELS = {
  plain: { tie_word_embeddings: false },
  biased: { tie_word_embeddings: true, attention_bias: true, mlp_bias: true },
} as const;

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

export const PEER_CASES: readonly PeerCase[] = [
  { name: "lora", method: "lora", model: "plain", options: { rank: 4, alpha: 6 }, modules: null },
  { name: "lora, biases", method: "lora", model: "biased", options: { rank: 4, alpha: 6 }, modules: null },
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

/** Methods that peft cannot load, with the reason. */
export const WITHOUT_PEER: Readonly<Record<string, string>> = {
  bitfit: "peft has no such type",
  full: "it writes a model folder",
  peqa: "peft has no such type",
  snell: "peft has no such type",
};

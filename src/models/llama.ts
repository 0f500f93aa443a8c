/**
 * @file The Llama family: SmolLM2, Llama 2 and 3, TinyLlama.
 *
 *   x ← x + Wo attention(norm(x) Wqkv)        x ← x + Wdown (silu(Wgate norm(x)) ∘ Wup norm(x))
 *
 * Papers: "LLaMA", arXiv:2302.13971; "The Llama 3 Herd of Models", arXiv:2407.21783.
 */
import { z } from "zod";
import { add } from "../graph/ops/add.ts";
import { mul } from "../graph/ops/mul.ts";
import { rmsNorm } from "../graph/ops/rms-norm.ts";
import { silu } from "../graph/ops/silu.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig, readRope } from "./hf-config.ts";

const FIELDS = z.object({
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().nullish(),
  head_dim: z.int().positive().nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  max_position_embeddings: z.int().positive().default(2048),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
  pretraining_tp: z.literal(1).default(1),
});

const FINAL_NORM = "model.norm.weight";

const headWidthOf = (c: z.output<typeof FIELDS>): number =>
  c.head_dim ?? c.hidden_size / c.num_attention_heads;

const SCHEMA = FIELDS.refine(
  (c) => c.num_attention_heads % (c.num_key_value_heads ?? c.num_attention_heads) === 0,
  { path: ["num_key_value_heads"], message: "expected a divisor of num_attention_heads" },
).refine((c) => headWidthOf(c) % 2 === 0, {
  path: ["head_dim"],
  message: "expected an even width of each head, for its rotation",
});

export const llama: Architecture = {
  modelType: "llama",
  names: {
    head: "lm_head.weight",
    headBias: null,
    blockPrefix: (layer) => `model.layers.${layer}.`,
  },
  stem: { reads: "tokens", embedding: "model.embed_tokens.weight" },
  finalNorm: {
    tensors: (c) => [{ name: FINAL_NORM, shape: [c.width], role: "norm" }],
    build: (tensor, x, c) => rmsNorm(x, tensor(FINAL_NORM), c.normEpsilon)[0],
  },

  readConfig: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const headWidth = headWidthOf(c);
    return {
      modelType: "llama",
      vocabSize: c.vocab_size,
      width: c.hidden_size,
      hiddenWidth: c.intermediate_size,
      numLayers: c.num_hidden_layers,
      numHeads: c.num_attention_heads,
      numKeyValueHeads: c.num_key_value_heads ?? c.num_attention_heads,
      headWidth,
      normEpsilon: c.rms_norm_eps,
      rope: readRope(raw, headWidth),
      causal: true,
      maxPositions: c.max_position_embeddings,
      image: null,
      tiedHead: c.tie_word_embeddings,
      attentionBias: c.attention_bias,
      mlpBias: c.mlp_bias,
    };
  },

  sites: (c) => {
    const [queries, keys] = [c.numHeads * c.headWidth, c.numKeyValueHeads * c.headWidth];
    const attention = (name: string, inFeatures: number, outFeatures: number) => ({
      name: `self_attn.${name}`,
      kind: "linear" as const,
      inFeatures,
      outFeatures,
      bias: c.attentionBias,
    });
    const mlp = (name: string, inFeatures: number, outFeatures: number) => ({
      name: `mlp.${name}`,
      kind: "linear" as const,
      inFeatures,
      outFeatures,
      bias: c.mlpBias,
    });
    return [
      attention("q_proj", c.width, queries),
      attention("k_proj", c.width, keys),
      attention("v_proj", c.width, keys),
      attention("o_proj", queries, c.width),
      mlp("gate_proj", c.width, c.hiddenWidth),
      mlp("up_proj", c.width, c.hiddenWidth),
      mlp("down_proj", c.hiddenWidth, c.width),
    ];
  },

  norms: (c) => [
    { name: "input_layernorm.weight", width: c.width },
    { name: "post_attention_layernorm.weight", width: c.width },
  ],

  block: (b, x, config) => {
    const norm = (name: string, value: typeof x) =>
      rmsNorm(value, b.tensor(`${name}.weight`), config.normEpsilon)[0];
    const h = norm("input_layernorm", x); // [B, T, D]
    const attended = b.attend(
      b.project("self_attn.q_proj", h),
      b.project("self_attn.k_proj", h),
      b.project("self_attn.v_proj", h),
    );
    const middle = b.keep("middle", add(x, b.project("self_attn.o_proj", b.keep("attended", attended))));
    const m = norm("post_attention_layernorm", middle);
    const gate = b.keep("gate", b.project("mlp.gate_proj", m)); // [B, T, F]
    const up = b.keep("up", b.project("mlp.up_proj", m));
    return add(middle, b.project("mlp.down_proj", mul(silu(gate), up)));
  },
};

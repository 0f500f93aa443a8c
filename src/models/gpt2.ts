/**
 * @file The GPT-2 family: learned positions, layer norms, one projection for queries, keys and values, biases everywhere.
 *
 *   x = E[ids] + P[positions]      x ← x + Wo attention(norm(x) Wqkv)      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Paper: "Language Models are Unsupervised Multitask Learners" (2019), section 2.3. Its files keep matrices as [in, out].
 */
import { z } from "zod";
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { gelu } from "../graph/ops/gelu.ts";
import { split } from "../graph/ops/split.ts";
import type { Builder, SiteRole } from "../nn/builder.ts";
import { layerNorm } from "../nn/norms.ts";
import { POSITIONS } from "../nn/pass.ts";
import { unrotatedAttention } from "../nn/self-attention.ts";
import type { Family, Layer } from "./family.ts";
import { count, ggufModules, type GgufRules, real } from "./gguf-rules.ts";
import { isClassifier, numClasses, parseConfig } from "./hf-config.ts";

const SCHEMA = z
  .object({
    vocab_size: z.int().positive(),
    n_positions: z.int().positive().default(1024),
    n_embd: z.int().positive(),
    n_layer: z.int().positive(),
    n_head: z.int().positive(),
    n_inner: z.int().positive().nullish(),
    activation_function: z.enum(["gelu_new", "gelu_pytorch_tanh", "gelu"]).default("gelu_new"),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    tie_word_embeddings: z.boolean().default(true),
    scale_attn_weights: z.literal(true).default(true),
    scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
    add_cross_attention: z.literal(false).default(false),
    reorder_and_upcast_attn: z.boolean().optional(),
    summary_type: z.string().optional(),
    summary_use_proj: z.boolean().optional(),
    summary_activation: z.string().nullish(),
    summary_proj_to_labels: z.boolean().optional(),
  })
  .refine((c) => c.n_embd % c.n_head === 0, { path: ["n_head"], message: "expected a divisor of n_embd" });

const EMBEDDING = "transformer.wte";

const GGUF: GgufRules = {
  architecture: "gpt2",
  outer: ggufModules({
    token_embd: EMBEDDING,
    position_embd: "transformer.wpe",
    output_norm: "transformer.ln_f",
    output: "lm_head",
  }),
  inBlock: ggufModules(
    {
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
    { attn_qkv: "transposed", attn_output: "transposed", ffn_up: "transposed", ffn_down: "transposed" },
  ),
  blockPrefix: "transformer.h.",
  settings: {
    block_count: count("n_layer"),
    context_length: count("n_positions"),
    embedding_length: count("n_embd"),
    feed_forward_length: count("n_inner"),
    "attention.head_count": count("n_head"),
    "attention.layer_norm_epsilon": real("layer_norm_epsilon"),
  },
  rotated: null,
  fixed: { architectures: ["GPT2LMHeadModel"], activation_function: "gelu_new" },
  switches: {},
  complete: (config) => config,
  values: ({ n_inner: inner, n_embd: width, layer_norm_epsilon = 1e-5, n_positions = 1024 }) => ({
    n_inner: inner ?? 4 * Number(width),
    layer_norm_epsilon,
    n_positions,
  }),
};

export const gpt2: Family = {
  modelType: "gpt2",
  summary: "GPT-2, from small to XL",
  traits:
    "Learned positions, layer norms, biases everywhere, one projection for queries, keys and values. Files keep matrices as [in, out]; adapters are saved with `fan_in_fan_out`, as PEFT does.",
  gguf: GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { n_embd: width, n_head: numHeads, vocab_size: vocabSize, n_positions: maxPositions } = c;
    const norm = layerNorm(c.layer_norm_epsilon);
    const approximate = c.activation_function === "gelu" ? "none" : "tanh";
    const attention = unrotatedAttention(width, numHeads, true);
    const project = (b: Builder, name: string, x: Value, out: number, role: SiteRole): Value =>
      b.linear(name, x, out, { role, bias: true, storedTransposed: true });
    const layer: Layer = {
      build: (b, x) => {
        const middle = b.branch("attention", x, (x) => {
          const fused = project(b, "attn.c_attn", norm(b, "ln_1", x), 3 * width, "qkv");
          const [q, k, v] = split(fused, 2, [width, width, width]) as [Value, Value, Value];
          return project(b, "attn.c_proj", b.attend(q, k, v, attention), width, "attention-output");
        });
        return b.branch("mlp", middle, (x) => {
          const inner = project(b, "mlp.c_fc", norm(b, "ln_2", x), c.n_inner ?? 4 * width, "up");
          return project(b, "mlp.c_proj", gelu(inner, approximate), width, "down");
        });
      },
    };
    const isClassifying = isClassifier(raw);
    const numOutputs = isClassifying ? numClasses(raw) : vocabSize;
    const tiedTo = c.tie_word_embeddings && !isClassifying ? `${EMBEDDING}.weight` : null;
    return {
      task: isClassifying ? "sequence-classification" : "causal-lm",
      width,
      numOutputs,
      vocabSize,
      image: null,
      maxPositions,
      layers: Array.from({ length: c.n_layer }, () => layer),
      blockPrefix: (layer) => `transformer.h.${layer}.`,
      stem: (b, ids) =>
        add(
          b.lookUp(EMBEDDING, ids, vocabSize, width),
          b.lookUp("transformer.wpe", b.input(POSITIONS), maxPositions, width),
        ),
      head: (b, x) =>
        b.linear(isClassifying ? "score" : "lm_head", norm(b, "transformer.ln_f", x), numOutputs, {
          role: "head",
          tiedTo,
        }),
      classPosition: isClassifying ? "last" : null,
      checkpoint: {
        rename: (name) => (/^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name),
        ignored: /\.attn\.(masked_)?bias$/,
      },
    };
  },
};

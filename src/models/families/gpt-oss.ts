/**
 * @file The gpt-oss family: attention with sinks, of which every other layer has a window, and experts with a limit in every layer.
 *
 * Report: "gpt-oss-120b & gpt-oss-20b Model Card", arXiv:2508.10925, section 2. Sinks are those of "Efficient Streaming Language
 * Models with Attention Sinks", arXiv:2309.17453, as numbers that are learned.
 */
import { z } from "zod";
import { clampedExpert } from "../../nn/clamped-expert.ts";
import { experts } from "../../nn/experts.ts";
import { type Router, projectedBy, softmaxRouter } from "../../nn/routers.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention } from "../blocks/decoder-blocks.ts";
import type { FolderPlace } from "../config/checkpoint-rules.ts";
import type { Family, Layer, RawConfig } from "../family.ts";
import { readExperts } from "../config/expert-config.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(8),
  head_dim: z.int().positive().nullable().default(64),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(131_072),
  rope_theta: z.number().positive().default(150_000),
  attention_bias: z.boolean().default(true),
  sliding_window: z.int().positive().default(128),
  layer_types: WINDOW_FIELDS.layer_types,
  num_experts: z.int().positive().default(128),
  num_experts_per_tok: z.int().positive().default(4),
  swiglu_alpha: z.number().default(1.702),
  swiglu_limit: z.number().positive().default(7),
  // Of the code that the models were trained with, for what other keys say.
  experts_per_token: z.int().nullish(),
  initial_context_length: z.int().nullish(),
});
const KEYS = { num_experts: "num_local_experts" };

/** How heads are rotated where a file does not say. */
const ROTATION = {
  rope_type: "yarn",
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};
const withRotation = (raw: RawConfig): RawConfig =>
  raw["rope_parameters"] == null && raw["rope_scaling"] == null ? { ...raw, rope_scaling: ROTATION } : raw;

const ROUTER: Router = { ...softmaxRouter(), logits: projectedBy("router", { bias: true }) };

const EXPERT = /^(?<experts>.+\.mlp\.experts)\.(?<index>\d+)\.(?<matrix>\w+)\.(?<part>weight|bias)$/;

/** Files have what all experts of a layer have in one tensor. */
function inFolder(name: string): FolderPlace {
  const { experts, index, matrix, part } = EXPERT.exec(name)?.groups ?? {};
  if (experts === undefined) return { name, stack: null };
  const stack = { index: Number(index), numParts: 1 };
  return part === "bias"
    ? { name: `${experts}.${matrix}_bias`, stack }
    : { name: `${experts}.${matrix}`, stack: { ...stack, isTurned: true } };
}

export const gptOss: Family = {
  modelType: "gpt_oss",
  summary: "gpt-oss: 20B and 120B",
  traits:
    "Every head has a sink, a number that takes part in its softmax; every other layer has a window. In every layer a router chooses a few of many experts, whose gates stay within a limit. Adapters can sit on the router (`router`) and on every expert.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const { intermediate_size: intermediateSize, swiglu_limit: limit, swiglu_alpha: alpha } = c;
    const expert = clampedExpert({ intermediateSize, limit, alpha });
    const options = { ...readExperts(raw, c), normalizes: true, router: ROUTER, expert };
    const attention = { ...plainAttention(withRotation(raw), c), sinks: "self_attn.sinks" };
    const [full, windowed] = [null, c.sliding_window].map((window) =>
      llamaBlock(c, { ...attention, window }, (b, x) => experts(b, x, "mlp.", options)),
    ) as [Layer, Layer];
    const layers = layersByWindow(raw, c, { full, windowed }, (layer) => layer % 2 === 0);
    const { checkpoint, ...definition } = plainDecoder(raw, c, layers);
    return { ...definition, checkpoint: { ...checkpoint, inFolder } };
  },
};

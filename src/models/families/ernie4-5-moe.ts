/**
 * @file The ERNIE 4.5 family with experts in all but the lowest layers, some of which all tokens share.
 *
 * Report: "ERNIE 4.5 Technical Report", Baidu, 2025, section 2. Biases that a router adds only to choose experts: arXiv:2408.15664.
 */
import { z } from "zod";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { experts } from "../../nn/experts.ts";
import { biasedSoftmaxRouter } from "../../nn/routers.ts";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  type Transform,
  llamaBlock,
  plainAttention,
  rotatingNeighbours,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { withoutTensors } from "../config/checkpoint-rules.ts";
import { ERNIE_MOE_GGUF, ERNIE_MOE_KEYS, ROUTER_BIAS } from "./ernie4-5-moe/gguf.ts";
import { ERNIE_FIELDS } from "../config/ernie-config.ts";
import { readExperts } from "../config/expert-config.ts";
import { parseConfig } from "../config/hf-config.ts";

const size = z.int().positive();
const UNUSED = z.unknown().optional();

const SCHEMA = z.object({
  ...ERNIE_FIELDS,
  num_key_value_heads: size.nullable().default(4),
  head_dim: size.nullish(),
  moe_intermediate_size: size.default(1536),
  num_experts: size.default(64),
  num_experts_per_tok: size.default(6),
  moe_num_shared_experts: z.int().min(0).default(2),
  moe_layer_start_index: z.int().min(0).default(1),
  moe_layer_end_index: z.int().min(-1).default(-1),
  moe_layer_interval: size.default(1),
  moe_norm_min: z.number().positive().default(1e-12),
  moe_gate: z.literal("topk").nullish(),
  // Capacity of experts in training, learning of their biases, and heads that predict further tokens.
  moe_capacity: UNUSED,
  moe_use_aux_free: UNUSED,
  num_nextn_predict_layers: UNUSED,
});

export const ernie45Moe: Family = {
  modelType: "ernie4_5_moe",
  summary: "ERNIE 4.5 with experts: 21B-A3B and 300B-A47B",
  traits:
    "The blocks of ERNIE 4.5 without experts; above the lowest layers a router chooses a few of many experts for each token, by probabilities plus a learned bias that keeps their load even, and some more are shared by all. Adapters can sit on the router (`gate`) and on every expert.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  gguf: ERNIE_MOE_GGUF,
  open: (raw) => {
    const { use_bias: bias, ...parsed } = parseConfig(SCHEMA, raw, ERNIE_MOE_KEYS);
    const c = { ...parsed, attention_bias: bias, mlp_bias: bias };
    const { moe_layer_start_index: start, moe_layer_end_index: end, moe_layer_interval: interval } = c;
    const expert = { ...siluMlp(c), intermediateSize: c.moe_intermediate_size, bias: false };
    const numShared = c.moe_num_shared_experts;
    const shared = { ...expert, intermediateSize: numShared * c.moe_intermediate_size, bias };
    const router = biasedSoftmaxRouter({ bias: ROUTER_BIAS, least: c.moe_norm_min });
    const options = { ...readExperts(raw, c), normalizes: true, router, expert };
    const chosen: Transform = (b, x) => experts(b, x, "mlp.", options);
    const all: Transform = (b, x) => add(chosen(b, x), gatedMlp(b, x, "mlp.shared_experts.", shared));
    const attention = rotatingNeighbours(plainAttention(raw, c));
    const part = numShared > 0 ? all : chosen;
    const [dense, sparse] = [llamaBlock(c, attention), llamaBlock(c, attention, part)];
    const layers = Array.from({ length: c.num_hidden_layers }, (_, layer) => {
      const isBetween = layer >= start && (end === -1 || layer <= end);
      return isBetween && (layer + 1) % interval === 0 ? sparse : dense;
    });
    const ends = plainEnds(rmsNorm(c.rms_norm_eps));
    const checkpoint = withoutTensors(ends.checkpoint, /^model\.mtp_/);
    return decoder(raw, c, layers, { ...ends, headBias: bias, checkpoint });
  },
};

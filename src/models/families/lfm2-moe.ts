/**
 * @file LFM2 with experts in all but the lowest layers.
 *
 * Report: "LFM2 Technical Report", arXiv:2511.23404, section 2.4. Biases that a router adds only to choose experts:
 * "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", arXiv:2408.15664.
 */
import { z } from "zod";
import { experts } from "../../nn/experts.ts";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { sigmoidRouter } from "../../nn/routers.ts";
import { siluMlp } from "../blocks/decoder-blocks.ts";
import { LFM2_MLP, LFM2_MLX, lfm2Blocks, lfm2Decoder } from "../blocks/lfm2.ts";
import { peftTakesNoExperts } from "../config/checkpoint-rules.ts";
import type { Family } from "../family.ts";
import { readExperts } from "../config/expert-config.ts";
import { LFM2_FIELDS, LFM2_KEYS, LFM2_MOE_GGUF } from "../config/lfm2-config.ts";
import { parseConfig } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";

const SCHEMA = z.object({
  ...LFM2_FIELDS,
  intermediate_size: z.int().positive().default(7168),
  moe_intermediate_size: z.int().positive().default(1792),
  num_dense_layers: z.int().min(0).default(2),
  num_experts: z.int().positive().default(32),
  num_experts_per_tok: z.int().positive().default(4),
  use_expert_bias: z.boolean().default(true),
  norm_topk_prob: z.boolean().default(true),
  routed_scaling_factor: z.number().positive().default(1),
});

/** Names of the matrices in MLX, which are those of Llama's files. */
const IN_MLX = Object.fromEntries(Object.entries(LFM2_MLP).map(([part, matrix]) => [matrix, `${part}_proj`]));
const pathOf = (path: string): string =>
  path.replace(/(?<=\.feed_forward\.)w[123]$/, (matrix) => IN_MLX[matrix]!);

export const lfm2Moe: Family = {
  modelType: "lfm2_moe",
  summary: "LFM2 with experts: 8B-A1B and 24B-A2B",
  traits:
    "LFM2's blocks; above the lowest layers a router chooses a few of many experts for each token, by probabilities plus a learned bias that keeps their load even. Adapters can sit on the router (`gate`) and on every expert.",
  autoClasses: { "sequence-classification": null },
  gguf: LFM2_MOE_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, LFM2_KEYS);
    requireTypesOfAll(raw, c);
    const mlp = { ...siluMlp(c), names: LFM2_MLP };
    const options = {
      ...readExperts(raw, c),
      normalizes: c.norm_topk_prob,
      router: sigmoidRouter({
        bias: c.use_expert_bias ? "expert_bias" : null,
        floor: 1e-6,
        factor: c.routed_scaling_factor,
      }),
      expert: { ...mlp, intermediateSize: c.moe_intermediate_size },
    };
    const dense = lfm2Blocks(raw, c, (b, x) => gatedMlp(b, x, "feed_forward.", mlp));
    const sparse = lfm2Blocks(raw, c, (b, x) => experts(b, x, "feed_forward.", options));
    const definition = lfm2Decoder(raw, c, (layer) => (layer < c.num_dense_layers ? dense : sparse)(layer));
    const others = { mlx: { ...LFM2_MLX, pathOf }, peftTakes: peftTakesNoExperts };
    return { ...definition, checkpoint: { ...definition.checkpoint, ...others } };
  },
};

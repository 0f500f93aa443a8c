/** @file The blocks of DeepSeek and similar models: latent attention, and a feed-forward part of chosen and shared experts. */
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { experts } from "../../nn/experts.ts";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { latentAttention } from "../../nn/latent-attention.ts";
import { rmsNorm } from "../../nn/norms.ts";
import type { Router } from "../../nn/routers.ts";
import { mlxWithout, withoutTensors } from "../config/checkpoint-rules.ts";
import type { DecoderFields } from "../config/hf-config.ts";
import { type LatentFields, latentExperts, latentOptions } from "../config/latent-config.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { plainDecoder } from "./decoder.ts";
import { type Transform, mlpPart, preNormBlock, siluMlp } from "./decoder-blocks.ts";

/** What differs between these families. */
interface LatentParts {
  /** Whether neighbouring pairs are rotated; otherwise pairs lie half a head apart. */
  readonly neighbours: boolean;
  readonly router: Router;
  /** Whether the weights of a token's experts add up to 1. */
  readonly normalizes: boolean;
  readonly hasExperts: (layer: number) => boolean;
}

/** Assembles a model. */
export function latentDecoder(
  raw: RawConfig,
  c: LatentFields & Pick<DecoderFields, "mlp_bias">,
  { neighbours, router, normalizes, hasExperts }: LatentParts,
): ModelDefinition {
  const dense = siluMlp(c);
  const expert = { ...dense, intermediateSize: c.moe_intermediate_size, bias: false };
  const shared = { ...dense, intermediateSize: c.moe_intermediate_size * c.n_shared_experts };
  const options = { ...latentExperts(raw, c), normalizes, router, expert };
  const latent = latentOptions(raw, c, { neighbours });
  const block = (mlp: Transform): Layer =>
    preNormBlock(rmsNorm(c.rms_norm_eps), (b, x) => latentAttention(b, x, "self_attn.", latent), mlp);
  const withExperts = block((b, x) =>
    add(experts(b, x, "mlp.", options), gatedMlp(b, x, "mlp.shared_experts.", shared)),
  );
  const without = block(mlpPart(dense));
  const layers = Array.from({ length: c.num_hidden_layers }, (_, layer) =>
    hasExperts(layer) ? withExperts : without,
  );
  return plainDecoder(raw, c, layers);
}

/** mlx-lm splits the projection to keys and values by heads. */
const MLX = mlxWithout((path) => path.endsWith(".kv_b_proj"));

/** Leaves out the layers of its files that predict further tokens, which follow its own, and sets its rules for MLX. */
export function withoutNextTokens(
  definition: ModelDefinition,
  c: { readonly num_hidden_layers: number; readonly num_nextn_predict_layers?: number | null | undefined },
): ModelDefinition {
  const { num_hidden_layers: first, num_nextn_predict_layers: count } = c;
  const numbers = Array.from({ length: count ?? 1 }, (_, i) => first + i);
  const checkpoint = { ...definition.checkpoint, mlx: MLX };
  if (numbers.length === 0) return { ...definition, checkpoint };
  const behind = new RegExp(`^model\\.layers\\.(${numbers.join("|")})\\.`);
  return { ...definition, checkpoint: withoutTensors(checkpoint, behind) };
}

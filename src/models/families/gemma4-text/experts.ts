/**
 * @file Experts in parallel to the feed-forward part of Gemma 4's blocks, each between its own norms. The router reads the stream
 * directly, with factors s; each expert has a factor c:
 *
 *   y ← y + norm(norm(mlp(norm(y))) + norm(Σ w_e expert_e(norm(y))))
 *   p = softmax(Wr (s ∘ y / (√D rms(y))))      w_e = c_e p_e / Σ of the chosen p
 */
import type { Value } from "../../../graph/graph.ts";
import { add, mul } from "../../../graph/ops/pointwise/elementwise.ts";
import { gelu } from "../../../graph/ops/pointwise/gelu.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { sizeAt } from "../../../graph/shape.ts";
import { alongRows } from "../../../nn/along-rows.ts";
import { experts } from "../../../nn/experts.ts";
import { type Norm, bareRmsNorm } from "../../../nn/norms.ts";
import { type Router, softmaxRouter } from "../../../nn/routers.ts";
import { scale } from "../../../nn/scale.ts";
import type { SelfAttentionOptions } from "../../../nn/self-attention.ts";
import { type FolderPlace, inExpertStacks } from "../../config/checkpoint-rules.ts";
import { PRE_NORMS_OF_FOUR } from "../../config/decoder-names.ts";
import type { ExpertSizes } from "./config.ts";
import type { Layer } from "../../family.ts";
import { type Transform, attentionPart, postNormBlock } from "../../blocks/decoder-blocks.ts";

/** A router that reads y [B, T, D], which is not what its experts read. */
function routerOf(y: Value, epsilon: number): Router {
  const width = sizeAt(y.shape, -1);
  return {
    ...softmaxRouter(),
    logits(b, x, numExperts) {
      const factors = alongRows(b.tensor("router.scale", [width], "norm"), y);
      const scaled = scale(mul(bareRmsNorm(epsilon)(b, "router.norm", y), factors), width ** -0.5);
      return b.linear("router.proj", reshape(scaled, x.shape), numExperts, { role: "router" });
    },
    ofExperts: "router.per_expert_scale",
  };
}

/** Builds a block of these parts; `mlp` and the experts read normalized inputs. */
export function blockWithExperts(
  norm: Norm,
  attention: SelfAttentionOptions,
  mlp: Transform,
  { epsilon, width: intermediateSize, ...sizes }: ExpertSizes & { readonly epsilon: number },
): Layer {
  const expert = { intermediateSize, activation: (x: Value) => gelu(x, "tanh"), bias: false };
  const options = { ...sizes, normalizes: true, expert };
  return postNormBlock(
    norm,
    (b, x) => attentionPart(attention)(b, norm(b, PRE_NORMS_OF_FOUR.attention, x)),
    (b, y) => {
      const ofAll = norm(b, "post_feedforward_layernorm_1", mlp(b, norm(b, PRE_NORMS_OF_FOUR.mlp, y)));
      const inputs = norm(b, "pre_feedforward_layernorm_2", y);
      const chosen = experts(b, inputs, "", { ...options, router: routerOf(y, epsilon) });
      return add(ofAll, norm(b, "post_feedforward_layernorm_2", chosen));
    },
  );
}

const MATRIX = /^(?<prefix>.+\.experts\.)(?<expert>\d+)\.(?<part>gate|up|down)_proj\.weight$/;
const STACKS = { gateUp: "gate_up_proj", down: "down_proj" };

/** Finds a tensor's place in files, which have the matrices of all experts of a layer in two tensors. */
export const inStacks = (name: string): FolderPlace =>
  inExpertStacks(name, MATRIX, STACKS) ?? { name, stack: null };

/**
 * @file Rotary position embedding: turns each pair (i, i + R/2) of a head by an angle that grows with the position.
 *
 *   y₁ = x₁ c - x₂ s    y₂ = x₂ c + x₁ s     x [B, H, T, E]  positions int64 [B, T]  cos, sin [P, R/2]
 *
 * R ≤ E: the first R elements of a head are turned, the others stay.
 * Paper: "RoFormer", arXiv:2104.09864, eq. 34, with pairs as halves. The gradient is the turn back: sin negated.
 */
import { MICROSOFT } from "../emitter.ts";
import type { Value } from "../graph.ts";
import { type NoAttributes, type Op, applyOne } from "../op.ts";
import { type Dim, sameShape, showShape } from "../shape.ts";
import { neg } from "./elementwise.ts";

type RopeInputs = readonly [x: Value, positions: Value, cos: Value, sin: Value];

export const ropeOp: Op<NoAttributes, RopeInputs> = {
  name: "rope",
  infer: ([{ dtype, shape }, positions, cos, sin]) => {
    const half = cos.shape[1];
    const [numHeads, width] = [shape[1], shape[3]];
    const fits =
      typeof half === "number" &&
      typeof width === "number" &&
      half > 0 &&
      (2 * half === width || (2 * half < width && typeof numHeads === "number"));
    if (
      shape.length !== 4 ||
      !fits ||
      sin.shape[1] !== half ||
      positions.dtype !== "int64" ||
      !sameShape(positions.shape, [shape[0] as Dim, shape[2] as Dim])
    ) {
      throw new RangeError(
        `Cannot rotate ${showShape(shape)} by positions ${showShape(positions.shape)} and tables of width ${half}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, , cos] = node.inputs;
    const [, numHeads, , width] = x.shape as [Dim, number, Dim, number];
    const turned = 2 * (cos.shape[1] as number);
    // The kernel reads the width of a head off the tables, or else off the number of heads.
    const part = turned < width ? { rotary_embedding_dim: turned, num_heads: numHeads } : {};
    emitter.simple(node, "RotaryEmbedding", { interleaved: 0, ...part }, MICROSOFT);
  },
  vjp: ({ inputs: [, positions, cos, sin] }, [gradient]) => [
    rope(gradient, positions, cos, neg(sin)),
    null,
    null,
    null,
  ],
};

/** Rotates the first R elements of the heads of x [B, H, T, E] by their positions [B, T]; tables [P, R/2]. */
export function rope(x: Value, positions: Value, cos: Value, sin: Value): Value {
  return applyOne(ropeOp, [x, positions, cos, sin], {});
}

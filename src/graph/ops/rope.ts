/**
 * @file Rotary position embedding: turns each pair (i, i + E/2) of a head by an angle that grows with the position.
 *
 *   y₁ = x₁ c - x₂ s    y₂ = x₂ c + x₁ s     x [B, H, T, E]  positions int64 [B, T]  cos, sin [P, E/2]
 *
 * Paper: "RoFormer", arXiv:2104.09864, eq. 34, with pairs as halves. The gradient is the turn back: sin negated.
 */
import { MICROSOFT } from "../emitter.ts";
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, sameShape, showShape } from "../shape.ts";
import { neg } from "./neg.ts";

export const ropeOp: Op<Record<string, never>> = {
  name: "rope",
  infer: ([x, positions, cos, sin]) => {
    const { dtype, shape } = x as Value;
    const half = (shape[3] as number) / 2;
    if (
      shape.length !== 4 ||
      cos?.shape[1] !== half ||
      sin?.shape[1] !== half ||
      positions?.dtype !== "int64" ||
      !sameShape(positions.shape, [shape[0] as Dim, shape[2] as Dim])
    ) {
      throw new RangeError(
        `Cannot rotate ${showShape(shape)} by positions ${showShape(positions?.shape ?? [])} and tables of width ${cos?.shape[1]}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => emitter.simple(node, "RotaryEmbedding", { interleaved: 0 }, MICROSOFT),
  vjp: (node, [gradient]) => {
    const [, positions, cos, sin] = node.inputs as [Value, Value, Value, Value];
    return [rope(gradient as Value, positions, cos, neg(sin)), null, null, null];
  },
};

/** Rotates the heads of x [B, H, T, E] by their positions [B, T]; tables [P, E/2]. */
export function rope(x: Value, positions: Value, cos: Value, sin: Value): Value {
  return applyOne(ropeOp, [x, positions, cos, sin], {});
}

/**
 * @file Rotary position embedding: turns each pair of a head by an angle that grows with the position.
 *
 *   y₁ = x₁ c - x₂ s    y₂ = x₂ c + x₁ s     x [B, H, T, E] or [B, T, H·E]  positions int64 [B, T]  cos, sin [P, R/2]
 *
 * R ≤ E: the first R elements of a head are rotated, the others stay. Pair i is (i, i + R/2), or with `neighbours` (2i, 2i + 1). Paper:
 * "RoFormer", arXiv:2104.09864, eq. 34, where pairs are neighbours. The gradient is the inverse rotation, with sin negated.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { type Dim, sameShape, showShape, sizeAt } from "../../shape.ts";
import { neg } from "../pointwise/elementwise.ts";

type RopeInputs = readonly [x: Value, positions: Value, cos: Value, sin: Value];

/** `numHeads`: heads of x as a projection gives it, [B, T, H·E]; without it x is [B, H, T, E]. */
type RopeAttributes = Readonly<{ numHeads?: number; neighbours?: boolean }>;

interface Sizes {
  readonly numHeads: Dim | undefined;
  /** Width of a head. */
  readonly width: Dim | undefined;
  readonly places: readonly (Dim | undefined)[];
}

function sizesOf({ shape }: Value, numHeads: number | undefined): Sizes {
  if (numHeads === undefined) return { numHeads: shape[1], width: shape[3], places: [shape[0], shape[2]] };
  const width = sizeAt(shape, 2) / numHeads;
  return { numHeads, width: Number.isInteger(width) ? width : undefined, places: [shape[0], shape[1]] };
}

export const ropeOp: Op<RopeAttributes, RopeInputs> = {
  name: "rope",
  infer: ([x, positions, cos, sin], { numHeads: given }) => {
    const { dtype, shape } = x;
    const half = cos.shape[1];
    const { numHeads, width, places } = sizesOf(x, given);
    const fits =
      typeof half === "number" &&
      typeof width === "number" &&
      half > 0 &&
      (2 * half === width || (2 * half < width && typeof numHeads === "number"));
    if (
      shape.length !== (given === undefined ? 4 : 3) ||
      !fits ||
      sin.shape[1] !== half ||
      positions.dtype !== "int64" ||
      !sameShape(positions.shape, places)
    ) {
      throw new RangeError(
        `Cannot rotate ${showShape(shape)} by positions ${showShape(positions.shape)} and tables of width ${half}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, , cos] = node.inputs;
    const { numHeads: given, neighbours = false } = node.attributes;
    const { numHeads, width } = sizesOf(x, given) as { numHeads: number; width: number };
    const turned = 2 * sizeAt(cos.shape, 1);
    // The kernel takes the width of a head from the tables, unless it is given a number of heads.
    const part = turned < width ? { rotary_embedding_dim: turned, num_heads: numHeads } : {};
    emitter.simple(node, "com.microsoft.RotaryEmbedding", { interleaved: Number(neighbours), ...part });
  },
  vjp: ({ inputs: [, positions, cos, sin], attributes }, [gradient]) => [
    applyOne(ropeOp, [gradient, positions, cos, neg(sin)], attributes),
    null,
    null,
    null,
  ],
};

/** Positions and tables that define a rotation of heads. */
export interface Rotation {
  /** Row of the tables for each token, int64 [B, T]. */
  readonly positions: Value;
  /** Tables [P, R/2]. */
  readonly cos: Value;
  readonly sin: Value;
  /** Whether pairs are neighbours; default: halves. */
  readonly neighbours?: boolean;
}

/** Rotates the first R elements of the heads of x [B, H, T, E], or with `numHeads` [B, T, H·E]. */
export function rope(
  x: Value,
  { positions, cos, sin, neighbours = false }: Rotation,
  numHeads?: number,
): Value {
  return applyOne(ropeOp, [x, positions, cos, sin], {
    ...(numHeads !== undefined && { numHeads }),
    ...(neighbours && { neighbours }),
  });
}

/**
 * @file A convolution over the tokens of an example, on both sides of each.
 *
 *   yₜ = b + Σⱼ Wⱼ xₜ₊ⱼ    j = -h … h, with zeros beyond the ends of an example
 */
import type { Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import { equal } from "../graph/ops/pointwise/compare.ts";
import { cast } from "../graph/ops/shapes/cast.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { padLike, slice } from "../graph/ops/shapes/slice-pad.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { sizeAt } from "../graph/shape.ts";
import { alongRows } from "./along-rows.ts";
import type { Builder } from "./builder.ts";
import { linear } from "./linear.ts";
import { SEGMENTS } from "./pass.ts";

const TOKENS = 1;

/** Returns the x [B, T, D] of `by` tokens later, with zeros beyond the row. */
function shifted(x: Value, by: number): Value {
  if (by === 0) return x;
  return by > 0
    ? padLike(slice(x, TOKENS, by, null), x, TOKENS, 0)
    : padLike(slice(x, TOKENS, 0, by), x, TOKENS, -by);
}

/** Convolves x [B, T, D] by a tensor [D, D, numTaps], numTaps odd, and adds a bias. */
export function tokenConv(b: Builder, name: string, x: Value, numTaps: number): Value {
  const width = sizeAt(x.shape, -1);
  const weight = b.tensor(`${name}.weight`, [width, width, numTaps], "weight");
  const bias = b.tensor(`${name}.bias`, [width], "bias");
  const segments = b.input(SEGMENTS);
  const example = cast(reshape(segments, [...segments.shape, 1]), "float32");
  const taps = Array.from({ length: numTaps }, (_, tap) => {
    const by = tap - (numTaps - 1) / 2;
    return by === 0 ? x : mul(shifted(x, by), equal(example, shifted(example, by)));
  });
  const matrix = reshape(transpose(weight, [0, 2, 1]), [width, numTaps * width]);
  return linear(concat(taps, 2), matrix, alongRows(bias, x));
}

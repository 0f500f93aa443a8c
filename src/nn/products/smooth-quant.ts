/**
 * @file Factors that make inputs and weights of products equally large in each channel. Without them a few channels of x are much
 * larger than the others, which share their scale when rows are rounded.
 *
 *   f[k] = √(max |W[k]| / max |x[k]|)     x is multiplied by f, and W divided
 *
 * Paper: "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", arXiv:2211.10438,
 * eq. 4 with α = 0.5.
 */
import type { Value } from "../../graph/graph.ts";
import { abs, div, mul, sqrt } from "../../graph/ops/pointwise/elementwise.ts";
import { maximum } from "../../graph/ops/pointwise/maximum.ts";
import { reduceMax } from "../../graph/ops/reductions/reduce-max.ts";
import { reduceMean } from "../../graph/ops/reductions/reduce-mean.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { SmoothingRule } from "../compute.ts";

/** Least value assumed for the largest entry of a channel, as a share of the mean over channels. */
const LEAST_SHARE = 0.01;
/** Avoids a division by zero if a matrix or an input is all zeros. */
const LEAST = 1e-8;

/** Computes the factors from the largest entries of inputs and weights. */
export const smoothQuant: SmoothingRule = (x, weights) => {
  const ofInputs = largestOfColumns(x);
  // A channel that is near zero in this batch may not be in the next.
  const heard = mul(reduceMean(ofInputs, [0]), x.graph.scalar(LEAST_SHARE));
  const ofWeights = weights.map(largestOfColumns).reduce(maximum);
  const least = x.graph.scalar(LEAST);
  return sqrt(div(maximum(ofWeights, least), maximum(maximum(ofInputs, heard), least)));
};

/** The largest |x| of each column (last axis), [n]. */
function largestOfColumns(x: Value): Value {
  const axes = x.shape.slice(0, -1).map((_, axis) => axis);
  return reshape(reduceMax(abs(x), axes), [sizeAt(x.shape, -1)]);
}

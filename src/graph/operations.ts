/** @file The operations as functions, with which a method written outside of graft builds its graphs. */
export {
  abs,
  add,
  cos,
  div,
  exp,
  log,
  mul,
  neg,
  sigmoid,
  sin,
  sqrt,
  sub,
  tanh,
} from "./ops/pointwise/elementwise.ts";
export { concat } from "./ops/shapes/concat.ts";
export { matmul } from "./ops/products/matmul.ts";
export { maximum } from "./ops/pointwise/maximum.ts";
export { reduceMean } from "./ops/reductions/reduce-mean.ts";
export { reduceSum } from "./ops/shapes/reduce-expand.ts";
export { reshape } from "./ops/shapes/reshape.ts";
export { silu } from "./ops/pointwise/silu.ts";
export { slice } from "./ops/shapes/slice-pad.ts";
export { softmax } from "./ops/reductions/softmax.ts";
export { split } from "./ops/rows/split.ts";
export { stopGradient } from "./ops/shapes/stop-gradient.ts";
export { transpose } from "./ops/shapes/transpose.ts";

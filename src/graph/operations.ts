/** @file The operations as functions: what a method that is written outside of graft builds its graphs with. */
export { abs, add, cos, div, exp, log, mul, neg, sigmoid, sin, sqrt, sub, tanh } from "./ops/elementwise.ts";
export { concat } from "./ops/concat.ts";
export { matmul } from "./ops/matmul.ts";
export { maximum } from "./ops/maximum.ts";
export { reduceMean } from "./ops/reduce-mean.ts";
export { reduceSum } from "./ops/reduce-expand.ts";
export { reshape } from "./ops/reshape.ts";
export { silu } from "./ops/silu.ts";
export { slice } from "./ops/slice-pad.ts";
export { softmax } from "./ops/softmax.ts";
export { split } from "./ops/split.ts";
export { stopGradient } from "./ops/stop-gradient.ts";
export { transpose } from "./ops/transpose.ts";

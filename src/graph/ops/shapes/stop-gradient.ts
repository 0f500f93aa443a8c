/** @file The same numbers, taken for constants: no gradient flows through. Not meant as an output: it would be a copy. */
import { type NoAttributes, type Op, type Value, unary } from "../../graph.ts";

export const stopGradientOp: Op<NoAttributes, readonly [Value]> = {
  name: "stopGradient",
  infer: ([{ dtype, shape }]) => [{ dtype, shape }],
  // Inside a graph the runtime takes it out.
  emit: (node, emitter) => emitter.simple(node, "Identity"),
  vjp: () => [null],
};

/** Takes x [...] for a constant in the backward pass. */
export const stopGradient = unary(stopGradientOp);

/** @file The same numbers, treated as constants: no gradient flows through. As an output of a program it costs a copy. */
import { type NoAttributes, type Op, type Value, unary } from "../../graph.ts";

export const stopGradientOp: Op<NoAttributes, readonly [Value]> = {
  name: "stopGradient",
  infer: ([{ dtype, shape }]) => [{ dtype, shape }],
  // ONNX Runtime removes it inside a graph.
  emit: (node, emitter) => emitter.simple(node, "Identity"),
  vjp: () => [null],
};

/** Treats x [...] as a constant in the backward pass. */
export const stopGradient = unary(stopGradientOp);

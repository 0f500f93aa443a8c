/** @file The logarithm of the sum of exponentials over the last axis, kept as size 1. Derivative: dx = dy ∘ e^(x - y). */
import { type NoAttributes, type Op, type Value, unary } from "../../graph.ts";
import { exp, mul, sub } from "../pointwise/elementwise.ts";

export const logSumExpOp: Op<NoAttributes, readonly [Value]> = {
  name: "logSumExp",
  infer: ([{ dtype, shape }]) => {
    if (shape.length === 0) throw new RangeError("Cannot take the log-sum-exp of a scalar");
    return [{ dtype, shape: [...shape.slice(0, -1), 1] }];
  },
  emit: (node, emitter) => {
    const [x] = emitter.names(node.inputs);
    emitter.node("ReduceLogSumExp", [x, emitter.int64([-1])], emitter.names(node.outputs), { keepdims: 1 });
  },
  vjp: ({ inputs: [x], outputs: [y] }, [gradient]) => [mul(gradient, exp(sub(x, y)))],
};

/** log Σ e^x over the last axis of x [..., n], [..., 1]. */
export const logSumExp = unary(logSumExpOp);

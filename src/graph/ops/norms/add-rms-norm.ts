/**
 * @file Sum of two tensors, and its root-mean-square norm:  s = a + b,  y = w ∘ s / √(mean s² + ε).   a, b [..., D]  w [D]
 *
 * One node of ONNX for adding a branch to the residual stream and normalising it for the next branch; `rms-norm.ts` names the paper. It
 * replaces the two operations in programs that write text (`engine/stack/fuse-norm.ts`): it has no gradient and takes three axes.
 */
import type { Op, Value } from "../../graph.ts";
import { sameShape, showShape } from "../../shape.ts";

export const addRmsNormOp: Op<
  Readonly<{ epsilon: number }>,
  readonly [a: Value, b: Value, weight: Value],
  readonly [sum: Value, y: Value]
> = {
  name: "addRmsNorm",
  infer: ([a, b, weight]) => {
    const { dtype, shape } = a;
    if (shape.length !== 3 || !sameShape(b.shape, shape) || !sameShape(weight.shape, shape.slice(-1))) {
      throw new RangeError(
        `Cannot add and normalise ${showShape(shape)} and ${showShape(b.shape)} with weight ${showShape(weight.shape)}: sizes differ`,
      );
    }
    return [
      { dtype, shape },
      { dtype, shape },
    ];
  },
  emit: (node, emitter) => {
    const [sum, y] = emitter.names(node.outputs);
    const attributes = { epsilon: { float: node.attributes.epsilon } };
    // The CPU kernel does not write outputs 1 and 2, mean and deviation.
    const outputs = [y, "", "", sum];
    emitter.node(
      "com.microsoft.SkipSimplifiedLayerNormalization",
      emitter.names(node.inputs),
      outputs,
      attributes,
    );
  },
  vjp: "not-differentiable",
};

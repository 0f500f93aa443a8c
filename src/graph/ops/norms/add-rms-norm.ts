/**
 * @file Sum of two tensors, and its root-mean-square norm:  s = a + b,  y = w ∘ s / √(mean s² + ε).   a, b [..., D]  w [D]
 *
 * One node of ONNX where a residual stream takes in a branch and is normalised for the next; `rms-norm.ts` has the paper.
 * Programs that write text put it in the place of the two (`engine/stack/fuse-norm.ts`): it has no gradient, and is for three axes.
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
    // Outputs 1 and 2, mean and deviation, are not written by the processor's kernel.
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

/**
 * @file What a distribution is off by:  e_n = softmax(z_n) - onehot(label_n).   z [N, V]  label int64 [N]  e [N, V]
 *
 * The derivative of `crossEntropy`.
 */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { checkLabels } from "./cross-entropy.ts";

export const softmaxErrorOp: Op<Record<string, never>> = {
  name: "softmaxError",
  infer: (inputs) => {
    const [logits, labels] = inputs as [Value, Value];
    checkLabels(logits, labels);
    return [{ dtype: logits.dtype, shape: logits.shape }];
  },
  emit: (node, emitter) => {
    const [logits, labels] = node.inputs.map((v) => emitter.name(v)) as [string, string];
    const [p, places] = [emitter.temporary(), emitter.temporary()];
    const [shape, ones] = [emitter.temporary(), emitter.temporary()];
    emitter.node("Softmax", [logits], [p], { axis: -1 });
    emitter.node("Unsqueeze", [labels, emitter.int64([1])], [places]);
    emitter.node("Shape", [places], [shape]);
    emitter.node("Expand", [emitter.scalar(-1), shape], [ones]);
    emitter.node("ScatterElements", [p, places, ones], [emitter.name(node.outputs[0] as Value)], {
      axis: 1,
      reduction: "add",
    });
  },
  vjp: "not-differentiable",
};

/** Differences of the softmax of logits [N, V] from the labels int64 [N], [N, V]. */
export function softmaxError(logits: Value, labels: Value): Value {
  return applyOne(softmaxErrorOp, [logits, labels], {});
}

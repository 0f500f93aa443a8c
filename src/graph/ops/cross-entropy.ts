/**
 * @file Cross-entropy of logits:  loss_n = -log softmax(z_n)[label_n].   z [N, V]  label int64 [N]  loss [N, 1]
 *
 *   dz = dloss ∘ (softmax(z) - onehot(label))
 *
 * Through the logarithm of the softmax, so a loss of any size is finite. For heads whose logits are needed as such;
 * `linearCrossEntropy` joins the product with a plain matrix.
 */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, showShape } from "../shape.ts";
import { mul } from "./mul.ts";
import { softmaxError } from "./softmax-error.ts";

/** Checks logits [N, V] and labels int64 [N]. @throws RangeError when they do not fit. */
export function checkLabels(logits: Value, labels: Value): void {
  const fits = logits.shape.length === 2 && labels.shape.length === 1 && labels.shape[0] === logits.shape[0];
  if (!fits || labels.dtype !== "int64") {
    throw new RangeError(
      `Cannot compare logits ${showShape(logits.shape)} with ${labels.dtype} labels ${showShape(labels.shape)}`,
    );
  }
}

export const crossEntropyOp: Op<Record<string, never>> = {
  name: "crossEntropy",
  infer: (inputs) => {
    const [logits, labels] = inputs as [Value, Value];
    checkLabels(logits, labels);
    return [{ dtype: logits.dtype, shape: [logits.shape[0] as Dim, 1] }];
  },
  emit: (node, emitter) => {
    const [logits, labels] = node.inputs.map((v) => emitter.name(v)) as [string, string];
    const [logs, places, picked] = [emitter.temporary(), emitter.temporary(), emitter.temporary()];
    emitter.node("LogSoftmax", [logits], [logs], { axis: -1 });
    emitter.node("Unsqueeze", [labels, emitter.int64([1])], [places]);
    emitter.node("GatherElements", [logs, places], [picked], { axis: 1 });
    emitter.node("Neg", [picked], [emitter.name(node.outputs[0] as Value)]);
  },
  vjp: (node, [gradient]) => {
    const [logits, labels] = node.inputs as [Value, Value];
    return [mul(gradient as Value, softmaxError(logits, labels)), null];
  },
};

/** Loss of each position: logits [N, V], labels int64 [N] give [N, 1]. */
export function crossEntropy(logits: Value, labels: Value): Value {
  return applyOne(crossEntropyOp, [logits, labels], {});
}

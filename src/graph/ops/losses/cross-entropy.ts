/**
 * @file Cross-entropy of logits:  loss_n = -log softmax(z_n)[label_n].   z [N, V]  label int64 [N]  loss [N, 1]
 *
 *   dz = dloss ∘ e     e_n = softmax(z_n) - onehot(label_n),  [N, V]: the error of the distribution
 *
 * Computed by LogSoftmax, so a loss of any size is finite. For heads whose logits are themselves needed; `linearCrossEntropy`
 * includes the product with a plain matrix.
 */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { dimAt, showShape } from "../../shape.ts";
import { mul } from "../pointwise/elementwise.ts";

type LabelledOp = Op<NoAttributes, readonly [logits: Value, labels: Value]>;

function checkLabels(logits: Value, labels: Value): void {
  const fits = logits.shape.length === 2 && labels.shape.length === 1 && labels.shape[0] === logits.shape[0];
  if (!fits || labels.dtype !== "int64") {
    throw new RangeError(
      `Cannot compare logits ${showShape(logits.shape)} with ${labels.dtype} labels ${showShape(labels.shape)}`,
    );
  }
}

export const crossEntropyOp: LabelledOp = {
  name: "crossEntropy",
  infer: ([logits, labels]) => {
    checkLabels(logits, labels);
    return [{ dtype: logits.dtype, shape: [dimAt(logits.shape, 0), 1] }];
  },
  emit: (node, emitter) => {
    const [logits, labels] = emitter.names(node.inputs);
    const logs = emitter.value("LogSoftmax", [logits], { axis: -1 });
    const places = emitter.value("Unsqueeze", [labels, emitter.int64([1])]);
    const picked = emitter.value("GatherElements", [logs, places], { axis: 1 });
    emitter.node("Neg", [picked], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [logits, labels] }, [gradient]) => [mul(gradient, softmaxError(logits, labels)), null],
};

export const softmaxErrorOp: LabelledOp = {
  name: "softmaxError",
  infer: ([logits, labels]) => {
    checkLabels(logits, labels);
    return [{ dtype: logits.dtype, shape: logits.shape }];
  },
  emit: (node, emitter) => {
    const [logits, labels] = emitter.names(node.inputs);
    const p = emitter.value("Softmax", [logits], { axis: -1 });
    const places = emitter.value("Unsqueeze", [labels, emitter.int64([1])]);
    const ones = emitter.value("Expand", [emitter.scalar(-1), emitter.value("Shape", [places])]);
    const attributes = { axis: 1, reduction: "add" };
    emitter.node("ScatterElements", [p, places, ones], emitter.names(node.outputs), attributes);
  },
  vjp: "not-differentiable",
};

/** Returns the loss of each position: logits [N, V], labels int64 [N] give [N, 1]. */
export function crossEntropy(logits: Value, labels: Value): Value {
  return applyOne(crossEntropyOp, [logits, labels], {});
}

/** Returns softmax(logits) - onehot(labels): logits [N, V], labels int64 [N] give [N, V]. */
function softmaxError(logits: Value, labels: Value): Value {
  return applyOne(softmaxErrorOp, [logits, labels], {});
}

/**
 * @file Output head and cross-entropy in one:  loss_n = -log softmax(h_n Wᵀ)[label_n].   h [N, D]  W [V, D]  label [N]
 *
 *   p = softmax(h Wᵀ)     dh = dloss ∘ (p W - W[label])     dW = (dloss ∘ p)ᵀ h - rows of (dloss ∘ h) at the labels
 *
 * The logits live only inside a program and only for the N positions it is given, so those of a batch never exist.
 * p is a second output for the gradient. A loss is at most 87.3 (p below 1e-38 counts as 1e-38).
 */
import type { NoAttributes, Op, Value } from "../../graph.ts";
import type { Emitter } from "../../emitter.ts";
import { dimAt, dimsOf, evaluateDim, evaluateSize } from "../../shape.ts";
import { mul, neg, sub } from "../pointwise/elementwise.ts";
import { addRows, gatherRows } from "../rows/gather-scatter.ts";
import { matmul } from "../products/matmul.ts";

const SMALLEST_PROBABILITY = 1.2e-38;

/** Emits what follows the logits: p and the loss of each row. */
export function emitLoss(
  emitter: Emitter,
  logits: string,
  labels: string,
  [loss, p]: readonly [loss: string, p: string],
): void {
  emitter.node("Softmax", [logits], [p], { axis: -1 });
  const places = emitter.value("Unsqueeze", [labels, emitter.int64([1])]);
  const picked = emitter.value("GatherElements", [p, places], { axis: 1 });
  const bounded = emitter.value("Max", [picked, emitter.scalar(SMALLEST_PROBABILITY)]);
  emitter.node("Neg", [emitter.value("Log", [bounded])], [loss]);
}

export const linearCrossEntropyOp: Op<
  NoAttributes,
  readonly [hidden: Value, weight: Value, labels: Value],
  readonly [loss: Value, p: Value]
> = {
  name: "linearCrossEntropy",
  infer: ([hidden, weight, labels]) => {
    const { dtype } = hidden;
    const [n, d] = dimsOf(hidden.shape, 2);
    const [v, width] = dimsOf(weight.shape, 2);
    if (d !== width || labels.shape[0] !== n || labels.dtype !== "int64") {
      throw new RangeError(`Cannot take the loss of hidden [${n}, ${d}] with a head of width ${width}`);
    }
    return [
      { dtype, shape: [n, 1] },
      { dtype, shape: [n, v] },
    ];
  },
  emit: (node, emitter) => {
    const [hidden, weight, labels] = emitter.names(node.inputs);
    const [loss, p] = emitter.names(node.outputs);
    const logits = emitter.value("com.microsoft.FusedMatMul", [hidden, weight], { transB: 1 });
    emitLoss(emitter, logits, labels, [loss, p]);
  },
  multiplications: ({ inputs: [hidden], outputs: [, p] }, bindings) => ({
    kind: "float32",
    count: evaluateSize(p.shape, bindings) * evaluateDim(dimAt(hidden.shape, 1), bindings),
  }),
  vjp: ({ inputs: [hidden, weight, labels], outputs: [, p] }, [dLoss, dP]) => {
    if (dP || !dLoss) throw new TypeError("Cannot differentiate linearCrossEntropy: a gradient flows into p");
    const dHidden = mul(dLoss, sub(matmul(p, weight), gatherRows(weight, labels)));
    const scaled = mul(dLoss, hidden); // [N, D]
    const dWeight = addRows(matmul(p, scaled, { transA: true }), neg(scaled), labels);
    return [dHidden, dWeight, null];
  },
};

/** The loss of each position, and the probabilities that it was made of. */
export interface LossAndProbabilities {
  readonly loss: Value;
  readonly p: Value;
}

/** Loss of each position and p: hidden [N, D], weight [V, D], labels int64 [N] give [N, 1] and [N, V]. */
export function linearCrossEntropy(hidden: Value, weight: Value, labels: Value): LossAndProbabilities {
  const [loss, p] = hidden.graph.apply(linearCrossEntropyOp, [hidden, weight, labels], {});
  return { loss, p };
}

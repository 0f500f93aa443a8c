/**
 * @file Output head and cross-entropy in one:  loss_n = -log softmax(h_n Wᵀ)[label_n].   h [N, D]  W [V, D]  label [N]
 *
 *   p = softmax(h Wᵀ)     dh = dloss ∘ (p W - W[label])     dW = (dloss ∘ p)ᵀ h - rows of (dloss ∘ h) at the labels
 *
 * The logits live only inside a program and only for the N positions it is given, so those of a batch never exist.
 * p is a second output for the gradient. Where the p of a label is too small for float32, its loss is
 * z_m - z_label - log p_m, of m with the largest logit z_m.
 */
import type { NoAttributes, Op, Value } from "../../graph.ts";
import { DTYPES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";
import { dimAt, dimsOf, evaluateDim, evaluateSize } from "../../shape.ts";
import { mul, neg, sub } from "../pointwise/elementwise.ts";
import { addRows, gatherRows } from "../rows/gather-scatter.ts";
import { matmul } from "../products/matmul.ts";

/** Least normal number of float32, nearly: a smaller p has lost bits, or is 0. */
const SMALLEST_PROBABILITY = 1.2e-38;

/** What a loss is computed from. */
interface LossOf {
  /** [N, D] */
  readonly hidden: string;
  /** [N, V], read by nothing else, so that p is written over it. */
  readonly logits: string;
  /** [N] */
  readonly labels: string;
  /** Emits the rows of the head's matrix [.., D] at words of any shape. */
  readonly rowsAt: (words: string) => string;
}

/** Emits what follows the logits: p and the loss of each row. */
export function emitLoss(
  emitter: Emitter,
  { hidden, logits, labels, rowsAt }: LossOf,
  [loss, p]: readonly [loss: string, p: string],
): void {
  emitter.node("Softmax", [logits], [p], { axis: -1 });
  const places = emitter.value("Unsqueeze", [labels, emitter.int64([1])]);
  const picked = emitter.value("GatherElements", [p, places], { axis: 1 });
  const isTiny = emitter.value("Less", [picked, emitter.scalar(SMALLEST_PROBABILITY)]);
  // p of m, [N, k]. Unless some label needs it, k is 0 and nothing here costs time or memory. p has been written over the
  // logits, so the two that are needed are computed again.
  const ones = emitter.value("Cast", [isTiny], { to: DTYPES.int64.onnx });
  const numTiny = emitter.value("ReduceSum", [ones, emitter.int64([0])], { keepdims: 0 });
  const k = emitter.value("Min", [numTiny, emitter.int64([1])]);
  const [largest, words] = [emitter.temporary(), emitter.temporary()];
  emitter.node("TopK", [p, k], [largest, words], { axis: 1 });
  const labelled = emitter.value("Expand", [places, emitter.value("Shape", [words])]);
  const apart = emitter.value("Sub", [rowsAt(words), rowsAt(labelled)]); // [N, k, D]
  const shares = emitter.value("Mul", [emitter.value("Unsqueeze", [hidden, emitter.int64([1])]), apart]);
  const gap = emitter.value("ReduceSum", [shares, emitter.int64([2])], { keepdims: 0 });
  const ofGap = emitter.value("Sub", [gap, emitter.value("Log", [largest])]);
  const far = emitter.value("ReduceSum", [ofGap, emitter.int64([1])], { keepdims: 1 }); // [N, 1]
  const near = emitter.value("Neg", [emitter.value("Log", [picked])]);
  emitter.node("Where", [isTiny, far, near], [loss]);
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
    const rowsAt = (words: string): string => emitter.value("Gather", [weight, words]);
    emitLoss(emitter, { hidden, logits, labels, rowsAt }, [loss, p]);
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

/** The loss of each position, and the probabilities that it was computed from. */
export interface LossAndProbabilities {
  readonly loss: Value;
  readonly p: Value;
}

/** Returns the loss of each position and p: hidden [N, D], weight [V, D], labels int64 [N] give [N, 1] and [N, V]. */
export function linearCrossEntropy(hidden: Value, weight: Value, labels: Value): LossAndProbabilities {
  const [loss, p] = hidden.graph.apply(linearCrossEntropyOp, [hidden, weight, labels], {});
  return { loss, p };
}

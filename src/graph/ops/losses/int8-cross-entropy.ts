/**
 * @file Output head of 8-bit codes and cross-entropy in one, like `linearCrossEntropy`.   h [N, D]  label [N]
 *
 *   p = softmax(h Wᵀ)     W[v, d] = s[v] c[v, d]     dh = dloss ∘ ((p ∘ s) c - W[label])
 *
 * Both products are in integers. The label's part of the gradient is kept out of the sum over probabilities: beside its entry of
 * nearly -1 the thousands of others in its row would be rounded to zero.
 */
import { DTYPES } from "../../dtype.ts";
import type { NoAttributes, Op, Value } from "../../graph.ts";
import { sizeBytesOf } from "../../peak-memory.ts";
import { dimAt, evaluateDim, sameShape, showShape, sizeAt, evaluateSize } from "../../shape.ts";
import { cast } from "../shapes/cast.ts";
import { add, mul, sub } from "../pointwise/elementwise.ts";
import { gatherRows } from "../rows/gather-scatter.ts";
import { type LossAndProbabilities, emitLoss } from "./linear-cross-entropy.ts";
import { emitInt8Product } from "../products/int8-nodes.ts";
import { sumSharesInt8, turnedBytes } from "../products/matmul-int8.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";

export const int8CrossEntropyOp: Op<
  NoAttributes,
  readonly [hidden: Value, codes: Value, scales: Value, back: Value, labels: Value],
  readonly [loss: Value, p: Value]
> = {
  name: "int8CrossEntropy",
  infer: ([hidden, codes, scales, back, labels]) => {
    const [n, d] = hidden.shape;
    const v = back.shape[0];
    const fits =
      n !== undefined &&
      v !== undefined &&
      hidden.dtype === "float32" &&
      labels.dtype === "int64" &&
      codes.dtype === "int8" &&
      back.dtype === "int8" &&
      sameShape(labels.shape, [n]) &&
      sameShape(codes.shape, [d, v]) &&
      sameShape(back.shape, [v, d]) &&
      sameShape(scales.shape, [v]);
    if (!fits) {
      const found = [hidden, codes, scales, back, labels].map(({ dtype, shape }) => dtype + showShape(shape));
      throw new RangeError(
        `Cannot take the loss of ${found.join(", ")}, expected float32[N, D], int8[D, V], float32[V], int8[V, D] and int64[N]`,
      );
    }
    return [
      { dtype: "float32", shape: [n, 1] },
      { dtype: "float32", shape: [n, v] },
    ];
  },
  emit: (node, emitter) => {
    const [hidden, codes, scales, back, labels] = emitter.names(node.inputs);
    const width = sizeAt(node.inputs[0].shape, 1);
    const logits = emitInt8Product(emitter, [hidden, codes, scales], { rows: "numbers", width });
    const rowsAt = (words: string): string => {
      const rows = emitter.value("Cast", [emitter.value("Gather", [back, words])], {
        to: DTYPES.float32.onnx,
      });
      const ofRows = emitter.value("Gather", [scales, words]);
      return emitter.value("Mul", [rows, emitter.value("Unsqueeze", [ofRows, emitter.int64([-1])])]);
    };
    emitLoss(emitter, { hidden, logits, labels, rowsAt }, emitter.names(node.outputs));
  },
  multiplications: ({ inputs: [hidden], outputs: [, p] }, bindings) => ({
    kind: "int8",
    count: evaluateSize(p.shape, bindings) * evaluateDim(dimAt(hidden.shape, 1), bindings),
  }),
  // The logits.
  scratchBytes: ({ inputs: [, codes], outputs: [, p] }, bindings, target) =>
    turnedBytes(codes, bindings, target) + sizeBytesOf(p, bindings),
  vjp: ({ inputs: [, , scales, back, labels], outputs: [loss, p] }, [dLoss, dP]) => {
    if (dP || !dLoss) throw new TypeError("Cannot differentiate int8CrossEntropy: a gradient flows into p");
    // A zero that depends on the losses: p has then been read for them, so the product may reuse its memory.
    const zero = mul(reduceSum(loss, [0]), p.graph.scalar(0));
    const expected = sumSharesInt8(mul(p, add(scales, zero)), back);
    const ofLabels = reshape(gatherRows(scales, labels), [dimAt(labels.shape, 0), 1]);
    const labelRows = mul(cast(gatherRows(back, labels), "float32"), ofLabels);
    return [mul(dLoss, sub(expected, labelRows)), null, null, null, null];
  },
};

/** The matrix of a head in codes, int8. */
interface CodedHead {
  /** [D, V] */
  readonly codes: Value;
  /** The codes again, as [V, D]. */
  readonly back: Value;
  /** Scale of each word, [V]. */
  readonly scales: Value;
}

/** Returns the loss of each position [N, 1] and p [N, V] for hidden [N, D] and labels int64 [N]. */
export function int8CrossEntropy(hidden: Value, head: CodedHead, labels: Value): LossAndProbabilities {
  const { codes, scales, back } = head;
  const [loss, p] = hidden.graph.apply(int8CrossEntropyOp, [hidden, codes, scales, back, labels], {});
  return { loss, p };
}

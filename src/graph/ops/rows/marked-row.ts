/**
 * @file Takes one row of each matrix: the first or the last that is marked with 1, or the first of all if none is marked.
 *
 *   x [B, T, D], marks int64 [B, T], ones and zeros, give [B, D]
 */
import { type Op, type Value, applyOne } from "../../graph.ts";
import { dimsOf, sameShape, showShape } from "../../shape.ts";

type MarkedAttributes = Readonly<{ which: "first" | "last" }>;

export const markedRowOp: Op<MarkedAttributes, readonly [x: Value, marks: Value]> = {
  name: "markedRow",
  infer: ([{ dtype, shape }, marks]) => {
    const [B, T, D] = dimsOf(shape, 3);
    if (marks.dtype !== "int64" || !sameShape(marks.shape, [B, T])) {
      throw new RangeError(
        `Cannot take a row of ${showShape(shape)} by ${marks.dtype} ${showShape(marks.shape)}: expected int64 marks of all rows`,
      );
    }
    return [{ dtype, shape: [B, D] }];
  },
  emit: ({ inputs, outputs, attributes: { which } }, emitter) => {
    const [x, marks] = emitter.names(inputs);
    // ArgMax takes the first of the largest; the running sum of marks is largest from the last marked row on.
    const heights = which === "first" ? marks : emitter.value("CumSum", [marks, emitter.int64([1])]);
    const places = emitter.value("ArgMax", [heights], { axis: 1, keepdims: 1 });
    emitter.node("GatherND", [x, places], emitter.names(outputs), { batch_dims: 1 });
  },
  vjp: "not-differentiable",
};

/** Takes a marked row of each matrix. */
export function markedRow(x: Value, marks: Value, which: MarkedAttributes["which"]): Value {
  return applyOne(markedRowOp, [x, marks], { which });
}

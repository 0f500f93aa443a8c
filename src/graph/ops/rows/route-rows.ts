/**
 * @file Decides which rows go to which experts: the k largest of each row of p [M, E], sorted by expert.
 *
 *   chosen [M, E]  1 where column e is among the k largest of row m, else 0        counts [E]  rows of each expert
 *   rows [k·M]     the row of each choice, those of expert 0 first                 places [k·M]  e·M + m of each choice
 *
 * Paper: "Outrageously Large Neural Networks", arXiv:1701.06538, section 2.1. A choice has no gradient.
 */
import { DTYPES } from "../../dtype.ts";
import type { Op, Value } from "../../graph.ts";
import { mulDims, showShape } from "../../shape.ts";
import { emitMarks } from "./mark-largest.ts";

export const routeRowsOp: Op<
  Readonly<{ k: number }>,
  readonly [p: Value],
  readonly [chosen: Value, rows: Value, places: Value, counts: Value]
> = {
  name: "routeRows",
  infer: ([{ dtype, shape }], { k }) => {
    const [M, E] = shape;
    if (shape.length !== 2 || M === undefined || typeof E !== "number" || k < 1 || k > E) {
      throw new RangeError(`Cannot choose ${k} columns of ${showShape(shape)}`);
    }
    const choices = [mulDims(k, M)];
    return [
      { dtype, shape },
      { dtype: "int64", shape: choices },
      { dtype: "int64", shape: choices },
      { dtype: "int64", shape: [E] },
    ];
  },
  emit: ({ inputs, outputs, attributes: { k } }, emitter) => {
    const [p] = emitter.names(inputs);
    const [chosen, rows, places, counts] = emitter.names(outputs);
    const shape = emitter.value("Shape", [p]);
    emitMarks(emitter, { x: p, shape, k }, chosen);
    const byExpert = emitter.value("Transpose", [chosen], { perm: [1, 0] });
    const flat = emitter.value("Reshape", [byExpert, emitter.int64([-1])]);
    emitter.node("Reshape", [emitter.value("NonZero", [flat]), emitter.int64([-1])], [places]);
    const numRows = emitter.value("Slice", [shape, emitter.int64([0]), emitter.int64([1])]);
    emitter.node("Mod", [places, numRows], [rows]);
    const sums = emitter.value("ReduceSum", [chosen, emitter.int64([0])], { keepdims: 0 });
    emitter.node("Cast", [sums], [counts], { to: DTYPES.int64.onnx });
  },
  vjp: () => [null],
};

/** Chooses the k largest of each row of p [M, E]. */
export function routeRows(p: Value, k: number): readonly [Value, Value, Value, Value] {
  return p.graph.apply(routeRowsOp, [p], { k });
}

/**
 * @file Takes columns by index, negative ones counted from the end: [..., N] and int64 [C] give [..., C]. For programs without a
 * gradient.
 */
import { dimAt, showShape } from "../../shape.ts";
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";

export const gatherColumnsOp: Op<NoAttributes, readonly [x: Value, columns: Value]> = {
  name: "gatherColumns",
  infer: ([{ dtype, shape }, columns]) => {
    if (columns.dtype !== "int64" || columns.shape.length !== 1 || shape.length === 0) {
      throw new TypeError(
        `Cannot take columns of ${showShape(shape)} by ${columns.dtype} ${showShape(columns.shape)}, expected int64 [C]`,
      );
    }
    return [{ dtype, shape: [...shape.slice(0, -1), dimAt(columns.shape, 0)] }];
  },
  emit: (node, emitter) => emitter.simple(node, "Gather", { axis: -1 }),
  vjp: "not-differentiable",
};

/** Takes columns of a value. */
export function gatherColumns(x: Value, columns: Value): Value {
  return applyOne(gatherColumnsOp, [x, columns], {});
}

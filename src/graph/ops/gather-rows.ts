/** @file Rows of a table by number, [V, D] and int64 [...] give [..., D]. Its gradient adds rows up where they came from. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { showShape } from "../shape.ts";
import { scatterAddRows } from "./scatter-add-rows.ts";

export const gatherRowsOp: Op<Record<string, never>> = {
  name: "gatherRows",
  infer: ([table, rows]) => {
    const { dtype, shape } = table as Value;
    if (rows?.dtype !== "int64" || shape.length === 0) {
      throw new TypeError(
        `Cannot take rows of ${showShape(shape)} by ${rows?.dtype} numbers, expected int64`,
      );
    }
    return [{ dtype, shape: [...rows.shape, ...shape.slice(1)] }];
  },
  emit: (node, emitter) => emitter.simple(node, "Gather", { axis: 0 }),
  vjp: (node, [gradient]) => {
    const [table, rows] = node.inputs as [Value, Value];
    return [scatterAddRows(gradient as Value, rows, table), null];
  },
};

/** Takes rows of a table. */
export function gatherRows(table: Value, rows: Value): Value {
  return applyOne(gatherRowsOp, [table, rows], {});
}

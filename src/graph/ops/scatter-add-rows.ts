/** @file Adds rows [..., D] at places int64 [...] into zeros of the shape of a table [V, D]: the reverse of gatherRows. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { sameShape, showShape } from "../shape.ts";
import { gatherRows } from "./gather-rows.ts";

export const scatterAddRowsOp: Op<Record<string, never>> = {
  name: "scatterAddRows",
  infer: (inputs) => {
    const [x, rows, like] = inputs as [Value, Value, Value];
    if (rows.dtype !== "int64" || !sameShape(x.shape, [...rows.shape, ...like.shape.slice(1)])) {
      throw new RangeError(
        `Cannot add ${showShape(x.shape)} to rows of ${showShape(like.shape)} by ${rows.dtype} ${showShape(rows.shape)}`,
      );
    }
    return [{ dtype: x.dtype, shape: like.shape }];
  },
  emit: (node, emitter) => {
    const [x, rows, like] = node.inputs.map((v) => emitter.name(v)) as [string, string, string];
    const [shape, zeros, places] = [emitter.temporary(), emitter.temporary(), emitter.temporary()];
    emitter.node("Shape", [like], [shape]);
    emitter.node("Expand", [emitter.scalar(0), shape], [zeros]);
    emitter.node("Unsqueeze", [rows, emitter.int64([-1])], [places]);
    emitter.node("ScatterND", [zeros, places, x], [emitter.name(node.outputs[0] as Value)], {
      reduction: "add",
    });
  },
  vjp: (node, [gradient]) => [gatherRows(gradient as Value, node.inputs[1] as Value), null, null],
};

/** Adds rows up at their places in zeros of the shape of `like`. */
export function scatterAddRows(x: Value, rows: Value, like: Value): Value {
  return applyOne(scatterAddRowsOp, [x, rows, like], {});
}

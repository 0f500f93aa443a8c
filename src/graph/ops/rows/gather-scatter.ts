/**
 * @file Takes rows of a table by index, [V, D] and int64 [...] give [..., D]; and the reverse: adds rows [..., D] at their
 * indices to a table, or to zeros of its shape. Each is the gradient of the other.
 */
import type { Emitter } from "../../emitter.ts";
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { sameShape, showShape } from "../../shape.ts";

export const gatherRowsOp: Op<NoAttributes, readonly [table: Value, rows: Value]> = {
  name: "gatherRows",
  infer: ([{ dtype, shape }, rows]) => {
    if (rows.dtype !== "int64" || shape.length === 0) {
      throw new TypeError(`Cannot take rows of ${showShape(shape)} by ${rows.dtype} numbers, expected int64`);
    }
    return [{ dtype, shape: [...rows.shape, ...shape.slice(1)] }];
  },
  emit: (node, emitter) => emitter.simple(node, "Gather", { axis: 0 }),
  vjp: ({ inputs: [table, rows] }, [gradient]) => [scatterAddRows(gradient, rows, table), null],
};

export const scatterAddRowsOp: Op<NoAttributes, readonly [x: Value, rows: Value, like: Value]> = {
  name: "scatterAddRows",
  infer: ([x, rows, like]) => {
    requireRows(x, rows, like);
    return [{ dtype: x.dtype, shape: like.shape }];
  },
  emit: (node, emitter) => {
    const [x, rows, like] = emitter.names(node.inputs);
    // The shape is made to be known only in a run: otherwise ONNX Runtime would make the zeros once and keep them.
    const nothing = emitter.value("Mul", [emitter.value("Size", [rows]), emitter.int64([0])]);
    const shape = emitter.value("Add", [emitter.value("Shape", [like]), nothing]);
    const zeros = emitter.value("Expand", [emitter.scalar(0), shape]);
    emitSums(emitter, node.outputs[0], [zeros, x, rows]);
  },
  vjp: ({ inputs: [, rows] }, [gradient]) => [gatherRows(gradient, rows), null, null],
};

export const addRowsOp: Op<NoAttributes, readonly [table: Value, x: Value, rows: Value]> = {
  name: "addRows",
  infer: ([table, x, rows]) => {
    requireRows(x, rows, table);
    return [{ dtype: table.dtype, shape: table.shape }];
  },
  emit: (node, emitter) => {
    const [table, x, rows] = emitter.names(node.inputs);
    emitSums(emitter, node.outputs[0], [table, x, rows]);
  },
  vjp: ({ inputs: [, , rows] }, [gradient]) => [gradient, gatherRows(gradient, rows), null],
};

function requireRows(x: Value, rows: Value, { shape }: Value): void {
  if (rows.dtype === "int64" && sameShape(x.shape, [...rows.shape, ...shape.slice(1)])) return;
  throw new RangeError(
    `Cannot add ${showShape(x.shape)} to rows of ${showShape(shape)} by ${rows.dtype} ${showShape(rows.shape)}`,
  );
}

/**
 * Adds rows x to a table, element by element in order. ScatterND, which takes whole rows, adds rows of the same index on several
 * threads at once, so that sums are lost (onnxruntime#23396).
 */
function emitSums(
  emitter: Emitter,
  sum: Value,
  [table, x, rows]: readonly [table: string, x: string, rows: string],
): void {
  const ones = sum.shape.slice(1).map(() => 1);
  const rest = emitter.value("Shape", [table], { start: 1 });
  const shape = emitter.value("Concat", [emitter.int64([-1]), rest], { axis: 0 });
  const flat = emitter.value("Reshape", [x, shape]);
  const numbers = emitter.value("Reshape", [rows, emitter.int64([-1, ...ones])]);
  const places = emitter.value("Expand", [numbers, emitter.value("Shape", [flat])]);
  const attributes = { axis: 0, reduction: "add" };
  emitter.node("ScatterElements", [table, places, flat], [emitter.name(sum)], attributes);
}

/** Takes rows of a table. */
export function gatherRows(table: Value, rows: Value): Value {
  return applyOne(gatherRowsOp, [table, rows], {});
}

/** Adds rows at their indices to zeros of the shape of `like`. */
export function scatterAddRows(x: Value, rows: Value, like: Value): Value {
  return applyOne(scatterAddRowsOp, [x, rows, like], {});
}

/** Adds rows at their indices to a table. */
export function addRows(table: Value, x: Value, rows: Value): Value {
  return applyOne(addRowsOp, [table, x, rows], {});
}

/**
 * @file Takes rows of x [M, ...] by index, each exactly k times: int64 [k·M] gives [k·M, ...]; and the reverse, the sums [M, ...]
 * of the k rows of each index. Each is the gradient of the other.
 *
 * Indices that may occur any number of times are added element by element (`gather-scatter`). With exactly k of each, equal ones
 * are adjacent after a stable sort, so each sum is over k neighbouring rows.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { mulDims, sameShape, showShape } from "../../shape.ts";

type Repeats = Readonly<{ k: number }>;

export const repeatRowsOp: Op<Repeats, readonly [x: Value, rows: Value]> = {
  name: "repeatRows",
  infer: ([x, rows], { k }) => {
    requireRepeats(x, rows, k);
    return [{ dtype: x.dtype, shape: [...rows.shape, ...x.shape.slice(1)] }];
  },
  emit: (node, emitter) => emitter.simple(node, "Gather", { axis: 0 }),
  vjp: ({ inputs: [x, rows], attributes: { k } }, [gradient]) => [sumRepeats(gradient, rows, x, k), null],
};

export const sumRepeatsOp: Op<Repeats, readonly [x: Value, rows: Value, like: Value]> = {
  name: "sumRepeats",
  infer: ([x, rows, like], { k }) => {
    requireRepeats(like, rows, k);
    if (!sameShape(x.shape, [...rows.shape, ...like.shape.slice(1)])) {
      throw new RangeError(
        `Cannot add ${k} rows of ${showShape(x.shape)} to each of ${showShape(like.shape)}`,
      );
    }
    return [{ dtype: x.dtype, shape: like.shape }];
  },
  emit: ({ inputs, outputs, attributes: { k } }, emitter) => {
    const [x, rows, like] = emitter.names(inputs);
    const [sorted, order] = [emitter.temporary(), emitter.temporary()];
    const all = emitter.value("Shape", [rows]);
    emitter.node("TopK", [rows, all], [sorted, order], { axis: 0, largest: 0, sorted: 1 });
    const rest = emitter.value("Shape", [like], { start: 1 });
    const shape = emitter.value("Concat", [emitter.int64([-1, k]), rest], { axis: 0 });
    const together = emitter.value("Reshape", [emitter.value("Gather", [x, order], { axis: 0 }), shape]);
    emitter.node("ReduceSum", [together, emitter.int64([1])], emitter.names(outputs), { keepdims: 0 });
  },
  vjp: ({ inputs: [, rows], attributes: { k } }, [gradient]) => [repeatRows(gradient, rows, k), null, null],
};

function requireRepeats({ shape }: Value, rows: Value, k: number): void {
  const [M] = shape;
  if (rows.dtype === "int64" && M !== undefined && sameShape(rows.shape, [mulDims(k, M)])) return;
  throw new RangeError(
    `Cannot take rows of ${showShape(shape)}, each ${k} times, by ${rows.dtype} ${showShape(rows.shape)}`,
  );
}

/** Takes rows of x by index; each index must occur k times. */
export function repeatRows(x: Value, rows: Value, k: number): Value {
  return applyOne(repeatRowsOp, [x, rows], { k });
}

/** Adds up the k rows of each index, in the shape of `like`. */
export function sumRepeats(x: Value, rows: Value, like: Value, k: number): Value {
  return applyOne(sumRepeatsOp, [x, rows, like], { k });
}

/**
 * @file Splits rows [R, ...] into parts whose numbers of rows are known only at run time, and the reverse. Each is the gradient
 * of the other. The sizes of the parts are symbols known only inside the program; `id` is part of their names, so that they keep
 * their names when nodes are copied into another graph.
 */
import type { Op, Value, Values } from "../../graph.ts";
import { sameShape, showShape } from "../../shape.ts";
import { orZeros } from "../shapes/reduce-expand.ts";

type PartsAttributes = Readonly<{ numParts: number; id: number }>;

export const splitRowsOp: Op<PartsAttributes, readonly [x: Value, counts: Value], Values> = {
  name: "splitRows",
  infer: ([x, counts], { numParts, id }) => {
    if (counts.dtype !== "int64" || !sameShape(counts.shape, [numParts]) || x.shape.length === 0) {
      throw new RangeError(
        `Cannot split ${showShape(x.shape)} into ${numParts} parts by ${counts.dtype} ${showShape(counts.shape)}`,
      );
    }
    const [, ...rest] = x.shape;
    return Array.from({ length: numParts }, (_, part) => ({
      dtype: x.dtype,
      shape: [`part${part}of${id}`, ...rest],
    }));
  },
  emit: (node, emitter) => emitter.simple(node, "Split", { axis: 0 }),
  vjp: ({ inputs: [x, counts], outputs, attributes: { id } }, gradients) => {
    const parts = orZeros(outputs, gradients);
    return [joinRows(parts, x, counts, id), null];
  },
};

type JoinedRows = readonly [like: Value, counts: Value, ...parts: Value[]];

export const joinRowsOp: Op<Pick<PartsAttributes, "id">, JoinedRows> = {
  name: "joinRows",
  infer: ([like, counts, ...parts]) => {
    const [rows, ...rest] = like.shape;
    const [first] = parts;
    const fits = parts.every(({ shape }) => sameShape(shape.slice(1), first!.shape.slice(1)));
    if (rows === undefined || !first || !fits || !sameShape(counts.shape, [parts.length])) {
      throw new RangeError(`Cannot join ${parts.length} parts to ${showShape([rows ?? "?", ...rest])}`);
    }
    return [{ dtype: first.dtype, shape: [rows, ...first.shape.slice(1)] }];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [, , ...parts] = emitter.names(inputs);
    emitter.node("Concat", parts, emitter.names(outputs), { axis: 0 });
  },
  vjp: ({ inputs: [, counts, ...parts], attributes: { id } }, [gradient]) => [
    null,
    null,
    ...splitRows(gradient, counts, parts.length, id),
  ],
};

/** Splits the rows of x into parts of `counts` rows, int64 [numParts]. Values that are split alike have the same `id`. */
export function splitRows(x: Value, counts: Value, numParts: number, id = counts.id): Values {
  return x.graph.apply(splitRowsOp, [x, counts], { numParts, id });
}

/** Concatenates parts of `counts` rows to as many rows as `like` has. */
export function joinRows(parts: Values, like: Value, counts: Value, id = counts.id): Value {
  const [joined] = like.graph.apply(joinRowsOp, [like, counts, ...parts], { id });
  return joined;
}

/**
 * @file Looks up numbers for the distances of T tokens in those for -P … P-1, int64 [2P]: for -T … T-1, int64 [2T], or for each
 * pair of tokens, int64 [T, T]. Distances beyond the table take its first or last number.
 */
import type { Emitter } from "../../emitter.ts";
import { applyOne, type NoAttributes, type Node, type Op, type Value } from "../../graph.ts";
import { type Dim, type Shape, dimAt, mulDims, showShape, sizeAt } from "../../shape.ts";

const TOKENS = 1;

type DistanceOp = Op<NoAttributes, readonly [numbers: Value, x: Value]>;

/** Makes an operation; `distances` adds the nodes that compute the distances from T, int64 []. */
function distanceOp(
  name: string,
  shapeOf: (numTokens: Dim) => Shape,
  distances: (emitter: Emitter, numTokens: string) => string,
): DistanceOp {
  return {
    name,
    infer: ([{ dtype, shape }, x]) => {
      const [size] = shape;
      if (dtype !== "int64" || shape.length !== 1 || typeof size !== "number" || size < 2 || size % 2 !== 0) {
        throw new RangeError(
          `Cannot take distances out of ${dtype} ${showShape(shape)}, expected int64 and an even size`,
        );
      }
      return [{ dtype, shape: shapeOf(dimAt(x.shape, TOKENS)) }];
    },
    emit: (node, emitter) => emitNumbers(node, emitter, distances),
    vjp: "not-differentiable",
  };
}

function emitNumbers(
  { inputs, outputs }: Node<NoAttributes, readonly [Value, Value]>,
  emitter: Emitter,
  distances: Parameters<typeof distanceOp>[2],
): void {
  const [numbers, x] = emitter.names(inputs);
  const size = sizeAt(inputs[0].shape, 0);
  const shape = emitter.value("Shape", [x], { start: TOKENS, end: TOKENS + 1 });
  const length = emitter.value("Squeeze", [shape, emitter.int64([0])]);
  const places = emitter.value("Add", [distances(emitter, length), emitter.int64Scalar(size / 2)]);
  const least = emitter.value("Max", [places, emitter.int64Scalar(0)]);
  const within = emitter.value("Min", [least, emitter.int64Scalar(size - 1)]);
  emitter.node("Gather", [numbers, within], emitter.names(outputs), { axis: 0 });
}

export const distanceRowsOp = distanceOp(
  "distanceRows",
  (T) => [mulDims(2, T)],
  (emitter, length) =>
    emitter.value("Range", [emitter.value("Neg", [length]), length, emitter.int64Scalar(1)]),
);

export const distanceGridOp = distanceOp(
  "distanceGrid",
  (T) => [T, T],
  (emitter, length) => {
    const places = emitter.value("Range", [emitter.int64Scalar(0), length, emitter.int64Scalar(1)]);
    const along = (axis: number): string => emitter.value("Unsqueeze", [places, emitter.int64([axis])]);
    return emitter.value("Sub", [along(0), along(1)]);
  },
);

/** Looks up the numbers for all distances -T … T-1 of tokens of x [B, T, …]. */
export function distanceRows(numbers: Value, x: Value): Value {
  return applyOne(distanceRowsOp, [numbers, x], {});
}

/** Looks up the number for the distance j - i of each pair of tokens of x [B, T, …]. */
export function distanceGrid(numbers: Value, x: Value): Value {
  return applyOne(distanceGridOp, [numbers, x], {});
}

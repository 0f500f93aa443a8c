/** @file A vector that all rows of x share, or one for each row, in a shape that broadcasts to x. */
import type { Value } from "../graph/graph.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { dimsOf } from "../graph/shape.ts";

/** Whether each row has a vector of its own: [B, D] instead of [D]. */
export function isPerRow(vector: Value): boolean {
  return vector.shape.length > 1;
}

/** Returns a vector [D] unchanged, and vectors of rows [B, D] as [B, 1, .., D], with as many axes as x [B, .., D']. */
export function alongRows(vector: Value, x: Value): Value {
  if (!isPerRow(vector)) return vector;
  const [numRows, width] = dimsOf(vector.shape, 2);
  return reshape(vector, [numRows, ...x.shape.slice(2).map(() => 1), width]);
}

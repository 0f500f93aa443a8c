/** @file Learned positions, in a table whose first rows may have another purpose. */
import type { Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/rows/gather-scatter.ts";
import { slice } from "../graph/ops/shapes/slice-pad.ts";
import type { Builder } from "./builder.ts";
import { POSITIONS } from "./pass.ts";

/** Looks up the positions of a pass in a table [numRows, width], whose row `first` is position 0: [B, T, width]. */
export function positionsFrom(
  b: Builder,
  name: string,
  first: number,
  shape: readonly [numRows: number, width: number],
): Value {
  if (first === 0) return b.lookUp(name, b.input(POSITIONS), ...shape);
  const table = b.tensor(`${name}.weight`, shape, "embedding");
  return gatherRows(slice(table, 0, first, null), b.input(POSITIONS));
}

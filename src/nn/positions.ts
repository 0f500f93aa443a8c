/** @file Learned positions, in a table whose first rows may be for something else. */
import type { Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/rows/gather-scatter.ts";
import { slice } from "../graph/ops/shapes/slice-pad.ts";
import type { Builder } from "./builder.ts";
import { POSITIONS } from "./pass.ts";

/** The rows of a table [numRows, width] for the positions of a pass, of which position 0 is row `first`: [B, T, width]. */
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

/** @file Matrices turned round, some rows at a time, which stay in the cache of a processor. */
import type { TensorData } from "../graph/dtype.ts";

const ROWS = 32;

/** Lays the elements of a matrix [rows, columns] as [columns, rows]; the caller owns the result. */
export function turned<T extends TensorData>(data: T, numRows: number, numColumns: number): T {
  // One cast for all element types: they are moved, not changed.
  const from = data as Uint8Array;
  const into = data.slice() as Uint8Array;
  for (let first = 0; first < numRows; first += ROWS) {
    const end = Math.min(first + ROWS, numRows);
    for (let column = 0; column < numColumns; column++) {
      const to = column * numRows;
      for (let row = first; row < end; row++) into[to + row] = from[row * numColumns + column]!;
    }
  }
  return into as T;
}

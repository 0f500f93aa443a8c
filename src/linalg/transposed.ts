/** @file The transpose of a matrix in host memory. */
import type { DataOf } from "../graph/dtype.ts";

/** The transpose of a matrix, row by row; fresh memory. */
export function transposed(matrix: Float32Array, numRows: number, numColumns: number): DataOf<"float32"> {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      result[column * numRows + row] = matrix[row * numColumns + column]!;
    }
  }
  return result;
}

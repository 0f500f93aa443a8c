/** @file The transpose of a matrix in host memory. */
import type { TensorData } from "../graph/dtype.ts";

/** The transpose of a matrix, row by row; fresh memory. */
export function transposed<A extends TensorData>(matrix: A, numRows: number, numColumns: number): A {
  const result = matrix.slice() as A;
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      result[column * numRows + row] = matrix[row * numColumns + column]!;
    }
  }
  return result;
}

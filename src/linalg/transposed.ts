/** @file The transpose of a matrix in host memory, some rows at a time, which stay in the cache of a processor. */
import type { DType, TensorData } from "../graph/dtype.ts";
import { dimsOf } from "../graph/shape.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

const ROWS = 32;

/** Lays the elements of a matrix [rows, columns] as [columns, rows] into memory of the caller, which is not that of the matrix. */
export function transposeInto<T extends TensorData>(
  matrix: T,
  into: T,
  numRows: number,
  numColumns: number,
): void {
  // One cast for all element types: they are moved, not changed.
  const [from, to] = [matrix as Uint8Array, into as Uint8Array];
  for (let first = 0; first < numRows; first += ROWS) {
    const end = Math.min(first + ROWS, numRows);
    for (let column = 0; column < numColumns; column++) {
      const at = column * numRows;
      for (let row = first; row < end; row++) to[at + row] = from[row * numColumns + column]!;
    }
  }
}

/** The same in fresh memory. */
export function transposed<T extends TensorData>(matrix: T, numRows: number, numColumns: number): T {
  const into = matrix.slice() as T;
  transposeInto(matrix, into, numRows, numColumns);
  return into;
}

/** A matrix [rows, columns] of any type as [columns, rows], in fresh memory. */
export function turned<D extends DType>({ dtype, shape, data }: HostTensor<D>): HostTensor<D> {
  const [numRows, numColumns] = dimsOf(shape, 2);
  return { dtype, shape: [numColumns, numRows], data: transposed(data, numRows, numColumns) };
}

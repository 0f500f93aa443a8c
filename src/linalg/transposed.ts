/** @file Transposes matrices in host memory, some rows at a time, so that these stay in the processor's cache. */
import type { DType, TensorData } from "../graph/dtype.ts";
import { dimsOf } from "../graph/shape.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

const ROWS = 32;

/** Writes the transpose of a matrix [rows, columns] to the caller's memory, which must not overlap the matrix. */
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

/** Returns the transpose of a matrix of any type, in fresh memory. */
export function turned<D extends DType>({ dtype, shape, data }: HostTensor<D>): HostTensor<D> {
  const [numRows, numColumns] = dimsOf(shape, 2);
  return { dtype, shape: [numColumns, numRows], data: transposed(data, numRows, numColumns) };
}

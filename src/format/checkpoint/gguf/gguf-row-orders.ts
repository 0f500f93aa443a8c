/** @file In which order converters to GGUF write the rows of heads, or their columns. */
import type { ValueHeads } from "../../../models/config/gguf-rules.ts";

/** Heads of the model. */
export interface NumHeads {
  readonly query: number;
  readonly key: number;
  /** Null: values have as many heads as keys. */
  readonly values: ValueHeads | null;
  /** Groups of heads that are normalised by themselves. */
  readonly groups: number;
  /** Rows of keys in each head of one projection for keys and values; 0: there is no such one. */
  readonly keyRows: number;
}

/**
 * Computes the order that undoes the reordering of rows that rotate: row i of the folder's tensor is row `order[i]` of
 * the file. Row (head, half, j) lies in the file at (head, j, half).
 */
export function originalRowOrder(numRows: number, numHeads: number): Int32Array {
  if (numRows % (2 * numHeads) !== 0) {
    throw new RangeError(`${numRows} rows, expected a multiple of 2 x ${numHeads} heads`);
  }
  const headRows = numRows / numHeads;
  const order = new Int32Array(numRows);
  for (let row = 0; row < numRows; row++) {
    const inHead = row % headRows;
    const half = inHead < headRows / 2 ? 0 : 1;
    order[row] = row - inHead + 2 * (inHead - half * (headRows / 2)) + half;
  }
  return order;
}

/** The order that leads back. */
export function inverseOf(order: Int32Array): Int32Array {
  const inverse = new Int32Array(order.length);
  for (const [row, from] of order.entries()) inverse[from] = row;
  return inverse;
}

/** The order that undoes the sorting of rows by what they are for: row (head, part, j) lies in the file at (part, head, j). */
export function byHeadOrder(numRows: number, numHeads: number): Int32Array {
  if (numRows % (3 * numHeads) !== 0) {
    throw new RangeError(`${numRows} rows, expected a multiple of 3 x ${numHeads} heads`);
  }
  const width = numRows / numHeads / 3;
  return Int32Array.from({ length: numRows }, (_, row) => {
    const [head, part] = [Math.floor(row / (3 * width)), Math.floor(row / width) % 3];
    return (part * numHeads + head) * width + (row % width);
  });
}

/**
 * The order that undoes the moving of heads of values, behind `before` rows that stay: head (key, j) lies in the file at (j, key).
 * Null: none is moved.
 */
function valueOrder(numRows: number, values: ValueHeads | null, before: number): Int32Array | null {
  if (values === null || values.numHeads === values.numKeyHeads) return null;
  const { numKeyHeads, numHeads } = values;
  const width = (numRows - before) / numHeads;
  const perKey = numHeads / numKeyHeads;
  if (!Number.isInteger(width) || !Number.isInteger(perKey) || width < 1)
    throw new RangeError(`${numRows - before} rows, expected a multiple of ${numHeads} heads of values`);
  return Int32Array.from({ length: numRows }, (_, row) => {
    if (row < before) return row;
    const [head, inHead] = [Math.floor((row - before) / width), (row - before) % width];
    const inFile = (head % perKey) * numKeyHeads + Math.floor(head / perKey);
    return before + inFile * width + inHead;
  });
}

/** In which order rows of the folder's tensor lie in the file; null: as they are. */
export type RowOrder = (numRows: number, heads: NumHeads) => Int32Array | null;

/** That of heads of queries or keys. */
export const ofHeads =
  (which: "query" | "key", orderOf = originalRowOrder): RowOrder =>
  (numRows, heads) =>
    orderOf(numRows, heads[which]);
/** That of heads of values, which have all rows, or the last ones. */
export const ofValues: RowOrder = (numRows, { values }) => valueOrder(numRows, values, 0);
export const ofLastValues: RowOrder = (numRows, { values }) =>
  valueOrder(numRows, values, values?.rowsBefore ?? 0);

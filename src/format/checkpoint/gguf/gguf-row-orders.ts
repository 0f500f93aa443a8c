/** @file The orders in which converters to GGUF write the rows or columns of heads. */
import type { ValueHeads } from "../../../models/config/gguf-rules.ts";

/** Numbers of heads of a model. */
export interface NumHeads {
  readonly query: number;
  readonly key: number;
  /** Null: values have as many heads as keys. */
  readonly values: ValueHeads | null;
  /** Groups of heads that are normalized separately. */
  readonly groups: number;
  /** Rows of keys in each head of a projection for both keys and values; 0: there is no such projection. */
  readonly keyRows: number;
}

/**
 * Computes the order that undoes the reordering of rotated rows: row i of the folder's tensor is row `order[i]` of the file. Row
 * (head, half, j) is row (head, j, half) of the file.
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

/** Inverts a permutation. */
export function inverseOf(order: Int32Array): Int32Array {
  const inverse = new Int32Array(order.length);
  for (const [row, from] of order.entries()) inverse[from] = row;
  return inverse;
}

/** The order that undoes sorting of rows by query, key and value: row (head, part, j) is row (part, head, j) of the file. */
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
 * The order that undoes the reordering of heads of values, after `before` rows that stay: head (key, j) is head (j, key) of the
 * file. Null: nothing is reordered.
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

/** Computes the row in the file of each row of the folder's tensor; null: the order is the same. */
export type RowOrder = (numRows: number, heads: NumHeads) => Int32Array | null;

/** The order for heads of queries or keys. */
export const ofHeads =
  (which: "query" | "key", orderOf = originalRowOrder): RowOrder =>
  (numRows, heads) =>
    orderOf(numRows, heads[which]);
/** The orders for heads of values, which are all rows, or the last ones. */
export const ofValues: RowOrder = (numRows, { values }) => valueOrder(numRows, values, 0);
export const ofLastValues: RowOrder = (numRows, { values }) =>
  valueOrder(numRows, values, values?.rowsBefore ?? 0);

/** @file Tensors whose even rows lie in one tensor of a file and odd rows in another: gate and up of experts, here alternating. */
import { numElements } from "../../graph/shape.ts";
import { permuteRows, type StoredTensor } from "../../quant/stored-tensor.ts";
import { halvesOf, joinHalves } from "./halves.ts";

/** Elements of one of the two that are in memory at a time. */
const PIECE_ELEMENTS = 1 << 20;

/** Joins both, with alternating rows. */
export function joinInTurn(even: StoredTensor, odd: StoredTensor): StoredTensor {
  const joined = joinHalves(even, odd);
  const numRows = joined.shape[0]!;
  const order = Int32Array.from({ length: numRows }, (_, row) => ((row % 2) * numRows + row - (row % 2)) / 2);
  return permuteRows(joined, order);
}

/** Splits a tensor into its even and its odd rows. */
export function apartInTurn(stored: StoredTensor): [even: StoredTensor, odd: StoredTensor] {
  const numRows = stored.shape[0]!;
  const order = Int32Array.from({ length: numRows }, (_, row) =>
    2 * row < numRows ? 2 * row : 2 * row + 1 - numRows,
  );
  return halvesOf(permuteRows(stored, order));
}

/**
 * Fills `into` with alternating whole rows of both, from element `start` of the joined tensor on.
 * @param shape the shape of each of the two
 * @param read fills memory with whole rows of one of them
 */
export async function readInTurn(
  { shape, start }: { readonly shape: readonly number[]; readonly start: number },
  into: Float32Array,
  read: (half: 0 | 1, start: number, into: Float32Array) => Promise<void>,
): Promise<void> {
  const width = numElements(shape.slice(1));
  const [firstRow, endRow] = [start / width, (start + into.length) / width];
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_ELEMENTS / width));
  const memory = new Float32Array(Math.min(rowsAtOnce, Math.ceil((endRow - firstRow + 1) / 2)) * width);
  for (const half of [0, 1] as const) {
    const end = Math.ceil((endRow - half) / 2);
    for (let from = Math.ceil((firstRow - half) / 2); from < end; from += rowsAtOnce) {
      const rows = memory.subarray(0, Math.min(rowsAtOnce, end - from) * width);
      await read(half, from * width, rows);
      let to = (2 * from + half - firstRow) * width;
      for (let at = 0; at < rows.length; at += width, to += 2 * width)
        into.set(rows.subarray(at, at + width), to);
    }
  }
}

/**
 * @file What converters to GGUF change in the numbers of a tensor: undone on reading, done again on writing.
 *
 * Rows and whole tensors are moved as they are stored. Other changes would need new scales of blocks: these are made in float32, so
 * that nothing is rounded unseen.
 */
import { type DataOf, joinBytes } from "../../../graph/dtype.ts";
import { dimsOf } from "../../../graph/shape.ts";
import type { GgufChange } from "../../../models/config/gguf-rules.ts";
import {
  dequantize,
  packStored,
  permuteRows,
  storedFloats,
  type StoredTensor,
  unpackStored,
} from "../../../quant/stored-tensor.ts";
import { STORAGES, type StorageName } from "../../../quant/storages.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";

/** Heads of the model. */
export interface NumHeads {
  readonly query: number;
  readonly key: number;
}

/** A change of one tensor; a stack is one of several. */
type TensorChange = Exclude<GgufChange, "stacked">;

interface Form {
  readonly shape: readonly number[];
  readonly storage: StorageName;
}

/** Some rows of a matrix of a file. */
interface FileRows {
  readonly data: DataOf<"float32">;
  /** The first of them. */
  readonly first: number;
  /** [rows, columns] of the matrix. */
  readonly shape: readonly [number, number];
}

interface Rule {
  /** What becomes of shape and storage, either way. */
  turn(form: Form): Form;
  /** @throws RangeError when rows do not fill heads */
  undo(stored: StoredTensor, heads: NumHeads): StoredTensor;
  /** Writes rows to their places in the folder's matrix; null: it cannot be done by rows. @throws as `undo` */
  readonly placeRows: ((rows: FileRows, heads: NumHeads, into: DataOf<"float32">) => void) | null;
  /** @throws as `undo` */
  redo(stored: StoredTensor, heads: NumHeads): StoredTensor;
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

function inverseOf(order: Int32Array): Int32Array {
  const inverse = new Int32Array(order.length);
  for (const [row, from] of order.entries()) inverse[from] = row;
  return inverse;
}

/** The order that undoes the sorting of rows by what they are for: row (head, part, j) lies in the file at (part, head, j). */
function byHeadOrder(numRows: number, numHeads: number): Int32Array {
  if (numRows % (3 * numHeads) !== 0) {
    throw new RangeError(`${numRows} rows, expected a multiple of 3 x ${numHeads} heads`);
  }
  const width = numRows / numHeads / 3;
  return Int32Array.from({ length: numRows }, (_, row) => {
    const [head, part] = [Math.floor(row / (3 * width)), Math.floor(row / width) % 3];
    return (part * numHeads + head) * width + (row % width);
  });
}

function rowsOf(which: keyof NumHeads, orderOf = originalRowOrder): Rule {
  const orderFor = ({ shape }: StoredTensor, heads: NumHeads): Int32Array =>
    orderOf(shape[0] ?? 0, heads[which]);
  return {
    turn: (form) => form,
    undo: (stored, heads) => permuteRows(stored, orderFor(stored, heads)),
    placeRows({ data: rows, first, shape: [all, numColumns] }, heads, into) {
      const order = inverseOf(orderOf(all, heads[which]));
      for (let at = 0, row = first; at < rows.length; at += numColumns, row++) {
        into.set(rows.subarray(at, at + numColumns), order[row]! * numColumns);
      }
    },
    redo: (stored, heads) => permuteRows(stored, inverseOf(orderFor(stored, heads))),
  };
}

/** A change of every number, which is made in float32. */
function eachNumber(undo: (value: number) => number, redo: (value: number) => number): Rule {
  const changed = (stored: StoredTensor, change: (value: number) => number): StoredTensor =>
    storedFloats(hostTensor("float32", stored.shape, dequantize(stored).map(change)));
  return {
    turn: ({ shape }) => ({ shape, storage: "f32" }),
    undo: (stored) => changed(stored, undo),
    placeRows: null,
    redo: (stored) => changed(stored, redo),
  };
}

const isDense = (storage: StorageName): boolean => STORAGES[storage].blockSize === 1;

/** Turns a matrix round: elements as they are stored where each stands for itself. */
function transpose(given: StoredTensor): StoredTensor {
  const stored = isDense(given.storage)
    ? given
    : storedFloats(hostTensor("float32", given.shape, dequantize(given)));
  const [numRows, numColumns] = dimsOf(stored.shape, 2);
  const bytes = packStored(stored);
  const width = bytes.length / (numRows * numColumns);
  const turned = new Uint8Array(bytes.length);
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      const from = (row * numColumns + column) * width;
      turned.set(bytes.subarray(from, from + width), (column * numRows + row) * width);
    }
  }
  return unpackStored(stored.storage, turned, [numColumns, numRows]);
}

/** [a, b] with an axis of 1 between, or without it where it is there. */
function withMiddle([first = 0, ...rest]: readonly number[]): number[] {
  return rest.length === 1 ? [first, 1, ...rest] : [first, ...rest.slice(1)];
}

/** Every change of one tensor. */
export const TENSOR_CHANGES: Readonly<Record<TensorChange, Rule>> = {
  "query-rows": rowsOf("query"),
  "key-rows": rowsOf("key"),
  "qkv-rows": rowsOf("query", byHeadOrder),
  "plus-one": eachNumber(
    (value) => value - 1,
    (value) => value + 1,
  ),
  decay: eachNumber(
    (value) => Math.log(-value),
    (value) => -Math.exp(value),
  ),
  row: {
    turn: ({ shape, storage }) => ({ shape: shape.length === 1 ? [1, ...shape] : shape.slice(1), storage }),
    undo: (stored) => unpackStored(stored.storage, packStored(stored), [1, ...stored.shape]),
    placeRows: null,
    redo: (stored) => unpackStored(stored.storage, packStored(stored), stored.shape.slice(1)),
  },
  taps: {
    turn: ({ shape, storage }) => ({ shape: withMiddle(shape), storage }),
    undo: (stored) => unpackStored(stored.storage, packStored(stored), withMiddle(stored.shape)),
    placeRows: null,
    redo: (stored) => unpackStored(stored.storage, packStored(stored), withMiddle(stored.shape)),
  },
  transposed: {
    turn: ({ shape, storage }) => ({
      shape: shape.toReversed(),
      storage: isDense(storage) ? storage : "f32",
    }),
    undo: transpose,
    placeRows({ data: rows, first, shape: [numRows, numColumns] }, _heads, into) {
      for (let column = 0; column < numColumns; column++) {
        let to = column * numRows + first;
        for (let at = column; at < rows.length; at += numColumns) into[to++] = rows[at]!;
      }
    },
    redo: transpose,
  },
};

/** Lays tensors of one shape and kind one after another. */
export function stackTensors(parts: readonly StoredTensor[]): StoredTensor {
  const [first] = parts as readonly [StoredTensor, ...StoredTensor[]];
  const joined = joinBytes(parts.map(packStored));
  return unpackStored(first.storage, joined, [parts.length, ...first.shape]);
}

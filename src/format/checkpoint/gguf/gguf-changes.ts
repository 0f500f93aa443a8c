/**
 * @file The changes that converters to GGUF make to tensors: undone on reading, done again on writing.
 *
 * Rows and whole tensors are moved in their storage. Other changes would need new scales of blocks; they give float32, so that
 * nothing is rounded silently.
 */
import { type DataOf, joinBytes } from "../../../graph/dtype.ts";
import { dimsOf, numElements } from "../../../graph/shape.ts";
import type { GgufTensorChange } from "../../../models/config/gguf-rules.ts";
import {
  dequantize,
  packStored,
  permuteRows,
  storedFloats,
  type StoredTensor,
  unpackStored,
} from "../../../quant/stored-tensor.ts";
import { STORAGES, type StorageName } from "../../../quant/storages.ts";
import { transposed } from "../../../linalg/transposed.ts";
import type { Form } from "../halves.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import {
  type NumHeads,
  type RowOrder,
  byHeadOrder,
  inverseOf,
  ofHeads,
  ofLastValues,
  ofValues,
} from "./gguf-row-orders.ts";

/** Some rows of a matrix in a file. */
interface FileRows {
  readonly data: DataOf<"float32">;
  /** Index of the first row. */
  readonly first: number;
  /** [rows, columns] of the matrix. */
  readonly shape: readonly [number, number];
}

interface Rule {
  /** Whether it moves whole rows or columns, which an adapter's factors can follow; null: neither. */
  readonly moves: "rows" | "columns" | null;
  /** The shape and storage that result, in either direction. */
  turn(form: Form, heads: NumHeads): Form;
  /** @throws RangeError when rows do not fill heads */
  undo(stored: StoredTensor, heads: NumHeads): StoredTensor;
  /** Writes rows of the file to their places in the folder's matrix; null: not possible row by row. @throws as `undo` */
  readonly placeRows: ((rows: FileRows, heads: NumHeads, into: DataOf<"float32">) => void) | null;
  /** @throws as `undo` */
  redo(stored: StoredTensor, heads: NumHeads): StoredTensor;
}

function rowsOf(orderOf: RowOrder): Rule {
  return {
    moves: "rows",
    turn: (form) => form,
    undo(stored, heads) {
      const order = orderOf(stored.shape[0] ?? 0, heads);
      return order ? permuteRows(stored, order) : stored;
    },
    placeRows({ data: rows, first, shape: [all, numColumns] }, heads, into) {
      const own = orderOf(all, heads);
      if (!own) return into.set(rows, first * numColumns);
      const order = inverseOf(own);
      for (let at = 0, row = first; at < rows.length; at += numColumns, row++) {
        into.set(rows.subarray(at, at + numColumns), order[row]! * numColumns);
      }
    },
    redo(stored, heads) {
      const order = orderOf(stored.shape[0] ?? 0, heads);
      return order ? permuteRows(stored, inverseOf(order)) : stored;
    },
  };
}

/** Reorders columns: in their storage if a head is a multiple of a block, else as floats. */
function columnsOf(orderOf: RowOrder): Rule {
  /** Elements that are moved together, those of a head; null: nothing is moved. */
  const unitOf = ({ shape: [, numColumns = 0] }: Pick<Form, "shape">, heads: NumHeads): number | null =>
    orderOf(numColumns, heads) && numColumns / heads.values!.numHeads;
  const isWhole = ({ storage }: Form, unit: number): boolean => unit % STORAGES[storage].blockSize === 0;
  const moved = (given: StoredTensor, heads: NumHeads, isBack: boolean): StoredTensor => {
    const unit = unitOf(given, heads);
    if (unit === null) return given;
    const stored = isWhole(given, unit)
      ? given
      : storedFloats(hostTensor("float32", given.shape, dequantize(given)));
    const [numRows, numColumns] = dimsOf(stored.shape, 2);
    const own = orderOf(numColumns, heads)!;
    const order = isBack ? own : inverseOf(own);
    const bytes = packStored(stored);
    const unitBytes = (bytes.length / (numRows * numColumns)) * unit;
    const result = new Uint8Array(bytes.length);
    const perRow = numColumns / unit;
    for (let at = 0; at < numRows * perRow; at++) {
      const from = at - (at % perRow) + order[(at % perRow) * unit]! / unit;
      result.set(bytes.subarray(from * unitBytes, (from + 1) * unitBytes), at * unitBytes);
    }
    return unpackStored(stored.storage, result, stored.shape);
  };
  return {
    moves: "columns",
    turn(form, heads) {
      const unit = unitOf(form, heads);
      return unit === null || isWhole(form, unit) ? form : { ...form, storage: "f32" };
    },
    undo: (stored, heads) => moved(stored, heads, true),
    placeRows: null,
    redo: (stored, heads) => moved(stored, heads, false),
  };
}

/** Two changes, which a converter makes one after the other. */
function both(first: Rule, second: Rule): Rule {
  return {
    moves: null,
    turn: (form, heads) => second.turn(first.turn(form, heads), heads),
    undo: (stored, heads) => first.undo(second.undo(stored, heads), heads),
    placeRows: null,
    redo: (stored, heads) => second.redo(first.redo(stored, heads), heads),
  };
}

/** A change of every number, made in float32. */
function eachNumber(undo: (value: number) => number, redo: (value: number) => number): Rule {
  const changed = (stored: StoredTensor, change: (value: number) => number): StoredTensor =>
    storedFloats(hostTensor("float32", stored.shape, dequantize(stored).map(change)));
  return {
    moves: null,
    turn: ({ shape }) => ({ shape, storage: "f32" }),
    undo: (stored) => changed(stored, undo),
    placeRows: null,
    redo: (stored) => changed(stored, redo),
  };
}

const isDense = (storage: StorageName): boolean => STORAGES[storage].blockSize === 1;

/** Transposes a matrix: in its storage if that has no blocks, else as floats. */
function transpose(given: StoredTensor): StoredTensor {
  const stored = isDense(given.storage)
    ? given
    : storedFloats(hostTensor("float32", given.shape, dequantize(given)));
  const [numRows, numColumns] = dimsOf(stored.shape, 2);
  const { dtype, data } = stored.planes["data"]!;
  const shape = [numColumns, numRows];
  const planes = { data: { dtype, shape, data: transposed(data, numRows, numColumns) } };
  return { storage: stored.storage, shape, planes };
}

/** Inserts an axis of size 1 after the first one of [a, b], or removes it if it is there. */
function withMiddle([first = 0, ...rest]: readonly number[]): number[] {
  return rest.length === 1 ? [first, 1, ...rest] : [first, ...rest.slice(1)];
}

/** A change of the shape only. */
function reshaped(turned: (shape: readonly number[], heads: NumHeads) => readonly number[]): Rule {
  const moved = (stored: StoredTensor, heads: NumHeads): StoredTensor =>
    unpackStored(stored.storage, packStored(stored), turned(stored.shape, heads));
  return {
    moves: null,
    turn: ({ shape, storage }, heads) => ({ shape: turned(shape, heads), storage }),
    undo: moved,
    placeRows: null,
    redo: moved,
  };
}

/** A vector that is a matrix in files. */
const vector = (inFile: (length: number, heads: NumHeads) => readonly [number, number]): Rule =>
  reshaped((shape, heads) => (shape.length === 1 ? inFile(numElements(shape), heads) : [numElements(shape)]));

const TAPS = reshaped(withMiddle);
const COLUMN = vector((length) => [length, 1]);

const DECAY = eachNumber(
  (value) => Math.log(-value),
  (value) => -Math.exp(value),
);

/** All changes of single tensors. */
export const TENSOR_CHANGES: Readonly<Record<GgufTensorChange, Rule>> = {
  "query-rows": rowsOf(ofHeads("query")),
  "key-rows": rowsOf(ofHeads("key")),
  "qkv-rows": rowsOf(ofHeads("query", byHeadOrder)),
  "value-rows": rowsOf(ofValues),
  "last-value-rows": rowsOf(ofLastValues),
  "value-columns": columnsOf(ofValues),
  "value-taps": both(TAPS, rowsOf(ofLastValues)),
  "value-decay": both(DECAY, rowsOf(ofValues)),
  "plus-one": eachNumber(
    (value) => value - 1,
    (value) => value + 1,
  ),
  row: reshaped((shape) => (shape.length === 1 ? [1, ...shape] : shape.slice(1))),
  "one-row": reshaped((shape) => (shape.length === 1 ? [1, ...shape] : shape)),
  taps: TAPS,
  "as-row": vector((length, { groups }) => [groups, length / groups]),
  "as-column": COLUMN,
  "decay-column": both(DECAY, COLUMN),
  transposed: {
    moves: null,
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

/** The shape of a stack of `numParts` parts, of which every `numCuts` lie one below the other. */
export function stackedShape(
  numParts: number,
  [numRows = 1, ...rest]: readonly number[],
  numCuts: number,
): number[] {
  return [numParts / numCuts, numCuts * numRows, ...rest];
}

/** Joins tensors of one shape and storage in a stack. */
export function stackTensors(parts: readonly StoredTensor[], numCuts: number): StoredTensor {
  const [first] = parts as readonly [StoredTensor, ...StoredTensor[]];
  const joined = joinBytes(parts.map(packStored));
  return unpackStored(first.storage, joined, stackedShape(parts.length, first.shape, numCuts));
}

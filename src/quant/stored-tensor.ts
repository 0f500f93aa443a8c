/** @file A tensor in the form of its checkpoint, and operations for any storage kind. */
import { assertInternal, UsageError } from "../errors.ts";
import type { DataOf } from "../graph/dtype.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { DroppedMemory } from "../runtime/memory/program-memory.ts";
import { numElements, showShape } from "../graph/shape.ts";
import { areFinite16, widen } from "./codes/half.ts";
import type { Planes } from "./planes.ts";
import { rowBytes, rowsAndColumns, type Storage, storedBytes } from "./storage.ts";
import { type StorageName, STORAGES, WRITABLE_NAMES } from "./storages.ts";

/** A tensor in the form of its checkpoint. `shape` has the rows (outputs) first, as in Hugging Face files. */
export interface StoredTensor {
  readonly storage: StorageName;
  readonly shape: readonly number[];
  readonly planes: Planes;
}

/**
 * Counts garbage of quantizing: unpacked codes, and packed ones that callers copy. Otherwise V8 would collect none before a whole
 * model is rounded.
 */
const leftBehind = new DroppedMemory();

/** Wraps a tensor of 32-bit floats. */
export function storedFloats(data: HostTensor<"float32">): StoredTensor {
  return { storage: "f32", shape: data.shape, planes: { data } };
}

/** Splits the raw bytes of a tensor into planes: views where the layout allows, else fresh. */
export function unpackStored(name: StorageName, bytes: Uint8Array, shape: readonly number[]): StoredTensor {
  const storage: Storage = STORAGES[name];
  const expected = storedBytes(storage, shape);
  assertInternal(bytes.length === expected, `${bytes.length} bytes of ${name}, expected ${expected}`);
  return { storage: name, shape, planes: storage.unpack(bytes, shape) };
}

/** Whether all scales are finite, as in every undamaged file. */
export function hasFiniteScales({ storage, planes }: StoredTensor): boolean {
  const { blockSize, areScalesNumbers }: Storage = STORAGES[storage];
  if (blockSize === 1) return true;
  if (areScalesNumbers) return areScalesNumbers(planes);
  return Object.values(planes).every((found) => {
    if (found.dtype === "float16") return areFinite16(found.data as Uint16Array);
    return !found.dtype.includes("float") || widen(found).data.every(Number.isFinite);
  });
}

/** Joins a stored tensor into the raw bytes of its kind; the caller owns them. */
export function packStored(stored: StoredTensor): Uint8Array {
  return STORAGES[stored.storage].pack(stored.planes, stored.shape);
}

/** Computes the values of a stored tensor in float32, bit for bit as ggml does; a view for f32, else fresh. */
export function dequantize(stored: StoredTensor): DataOf<"float32"> {
  const { data } = stored.planes;
  if (data?.dtype === "float32") return data.data as DataOf<"float32">;
  const values = new Float32Array(numElements(stored.shape));
  dequantizeFrom(stored, 0, values);
  return values;
}

/**
 * Fills the caller's memory with values from element `start` on. Both ends must be row boundaries. So a large embedding can be
 * read without all of it being in float32.
 * @throws RangeError for anything but whole rows of the tensor.
 */
export function dequantizeFrom(
  { storage, shape, planes }: StoredTensor,
  start: number,
  into: DataOf<"float32">,
): void {
  const kind: Storage = STORAGES[storage];
  const [end, size, width] = [start + into.length, numElements(shape), shape.at(-1) ?? 1];
  const isAll = start === 0 && end === size;
  const areRows = start >= 0 && end <= size && start % width === 0 && end % width === 0;
  if (!isAll && !areRows) {
    throw new RangeError(
      `Cannot dequantize elements ${start} to ${end}: expected whole rows of ${showShape(shape)}`,
    );
  }
  kind.dequantize(planes, start / kind.blockSize, end / kind.blockSize, into);
}

/**
 * Rounds values to a storage kind, as ggml's reference does; the caller owns the result.
 * @throws UsageError "usage/quantization" for a kind that is only read; RangeError as `rowBytes`
 */
export function quantizeTo(
  name: StorageName,
  values: DataOf<"float32">,
  shape: readonly number[],
): StoredTensor {
  const storage: Storage = STORAGES[name];
  const { quantize } = storage;
  if (quantize === "read-only") {
    throw new UsageError(
      "usage/quantization",
      `Cannot write a tensor as ${name}: graft can only read it, expected ${WRITABLE_NAMES.join(", ")}`,
      { hint: "Choose one of these." },
    );
  }
  rowBytes(storage, rowsAndColumns(shape).numColumns);
  const planes = quantize(values, shape);
  leftBehind.add(values.length + storedBytes(storage, shape));
  return { storage: name, shape, planes };
}

/** Makes a tensor of `numRows` rows of the same kind and width; the planes are fresh zeros. */
export function roomForRows({ storage, shape, planes }: StoredTensor, numRows: number): StoredTensor {
  const room = Object.entries(planes).map(([name, { dtype, shape: own }]): [string, HostTensor] => [
    name,
    zeros(dtype, [numRows, ...own.slice(1)]),
  ]);
  return { storage, shape: [numRows, ...shape.slice(1)], planes: Object.fromEntries(room) };
}

/** Overwrites rows of a tensor of the same kind and width, from row `from` on. */
export function setRows(whole: StoredTensor, rows: StoredTensor, from: number): void {
  const [numRows = 0] = rows.shape;
  for (const [name, { data }] of Object.entries(rows.planes)) {
    // One cast for all element types: `set` of equal arrays does not convert.
    (whole.planes[name]!.data as Uint8Array).set(data as Uint8Array, (from * data.length) / numRows);
  }
}

/**
 * Reorders the rows of a stored tensor: row i of the result is row `rowOrder[i]`. It works on whole rows of each
 * plane, so no kind needs its own. The planes are fresh.
 * @throws RangeError when the order does not fit the rows, or for a tensor with one axis in blocks of several elements.
 */
export function permuteRows(stored: StoredTensor, rowOrder: Int32Array): StoredTensor {
  const planes = Object.fromEntries(
    Object.entries(stored.planes).map(([name, { dtype, shape, data }]) => {
      if (shape[0] !== rowOrder.length) {
        throw new RangeError(
          `Cannot permute plane "${name}" ${showShape(shape)}: ${rowOrder.length} rows in the order, expected ${shape[0]}`,
        );
      }
      const width = data.length / rowOrder.length;
      const moved = data.slice();
      for (let row = 0; row < rowOrder.length; row++) {
        const from = rowOrder[row]! * width;
        // One cast for all element types: `set` of equal arrays does not convert.
        (moved as Uint8Array).set(data.subarray(from, from + width) as Uint8Array, row * width);
      }
      return [name, { dtype, shape, data: moved } satisfies HostTensor];
    }),
  );
  return { ...stored, planes };
}

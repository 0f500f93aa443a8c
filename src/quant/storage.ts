/**
 * @file Contract of a storage kind: how a checkpoint keeps the numbers of a tensor.
 *
 * A stored tensor is a set of planes (codes, scales, ...), each with the rows (outputs) first. The planes are what
 * graphs read; the raw bytes are the layout of ggml files. Codes of 4 bits lie two a byte, the even element in the
 * low half, as ONNX UINT4 has it.
 */
import { assertInternal } from "../errors.ts";
import type { DataOf, DType } from "../graph/dtype.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { AffineKind } from "./affine.ts";
import type { StorageName } from "./storages.ts";

/** Planes of a stored tensor by name. */
export type Planes = Readonly<Record<string, HostTensor>>;

/** A tensor as a checkpoint keeps it. `shape` has the rows (outputs) first, as in Hugging Face files. */
export interface StoredTensor {
  readonly storage: StorageName;
  readonly shape: readonly number[];
  readonly planes: Planes;
}

/** One way to keep a tensor. */
export interface Storage {
  readonly name: StorageName;
  /** Numbers of the type in ggml files. */
  readonly ggmlTypes: readonly number[];
  /** One sentence for the documentation. */
  readonly summary: string;
  /** Elements of a row that share their scale; the width of a tensor is a multiple of it. */
  readonly blockSize: number;
  /** Bytes of one such block in the raw layout. */
  readonly blockBytes: number;
  /** Splits raw bytes into planes: views of `bytes` where layout and alignment allow, else fresh. */
  unpack(bytes: Uint8Array, shape: readonly number[]): Planes;
  /** Joins planes into raw bytes, the exact inverse of `unpack`; the caller owns the result. */
  pack(planes: Planes, shape: readonly number[]): Uint8Array;
  /** Computes the values in float32, bit for bit as ggml does, into memory of the caller. */
  dequantize(stored: StoredTensor, into: DataOf<"float32">): void;
  /** Rounds values to planes, bit for bit as ggml's reference does; the caller owns them. */
  quantize(values: DataOf<"float32">, shape: readonly number[]): Planes;
  /** How planes are seen as frozen codes with scales of their own. */
  readonly affine: "not-affine" | AffineKind;
}

/** Takes a plane of a known type out of a set. */
export function plane<D extends DType>(planes: Planes, name: string, dtype: D): HostTensor<D> {
  const found = planes[name];
  assertInternal(found?.dtype === dtype, `plane ${name} is ${found?.dtype ?? "missing"}, expected ${dtype}`);
  return found as HostTensor<D>;
}

/** Counts the rows and columns of a shape; one of a single axis is one row. */
export function rowsAndColumns(shape: readonly number[]): { numRows: number; numColumns: number } {
  const numColumns = shape.at(-1) ?? 1;
  return { numRows: shape.slice(0, -1).reduce((product, size) => product * size, 1), numColumns };
}

/**
 * Computes the raw bytes of one row of `numColumns` elements.
 * @throws RangeError when the columns do not fill whole blocks.
 */
export function rowBytes(storage: Storage, numColumns: number): number {
  if (numColumns % storage.blockSize !== 0) {
    throw new RangeError(
      `Cannot store a row as ${storage.name}: ${numColumns} columns, expected a multiple of ${storage.blockSize}`,
    );
  }
  return (numColumns / storage.blockSize) * storage.blockBytes;
}

/** Computes the raw bytes of a tensor. @throws RangeError when the columns do not fill whole blocks. */
export function storedBytes(storage: Storage, shape: readonly number[]): number {
  const { numRows, numColumns } = rowsAndColumns(shape);
  return numRows * rowBytes(storage, numColumns);
}

/**
 * Reorders the rows of a stored tensor: row i of the result is row `rowOrder[i]`. It works on whole rows of each
 * plane, so no kind needs its own. The planes are fresh.
 * @throws RangeError when the order does not fit the rows, or a tensor of one axis keeps several elements a code.
 */
export function permuteRows(stored: StoredTensor, rowOrder: Int32Array): StoredTensor {
  const planes = Object.fromEntries(
    Object.entries(stored.planes).map(([name, { dtype, shape, data }]) => {
      if (shape[0] !== rowOrder.length) {
        throw new RangeError(
          `Cannot permute plane "${name}" [${shape.join(", ")}]: ${rowOrder.length} rows in the order, expected ${shape[0]}`,
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

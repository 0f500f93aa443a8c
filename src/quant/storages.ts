/** @file All storage kinds. To add one: its file and one line here. */
import { assertInternal } from "../errors.ts";
import type { DataOf } from "../graph/dtype.ts";
import { numElements } from "../runtime/host-tensor.ts";
import { bf16 } from "./bf16.ts";
import { f16 } from "./f16.ts";
import { f32 } from "./f32.ts";
import { q4_0 } from "./q4-0.ts";
import { q4_1 } from "./q4-1.ts";
import { q8_0 } from "./q8-0.ts";
import { rowBytes, rowsAndColumns, type Storage, type StoredTensor, storedBytes } from "./storage.ts";

export const STORAGES = { f32, f16, bf16, q8_0, q4_0, q4_1 } as const;

/** Name of a storage kind. */
export type StorageName = keyof typeof STORAGES;

/** Finds the storage kind of a ggml type number; null when graft does not know it. */
export function storageOfGgmlType(ggmlType: number): Storage | null {
  return Object.values(STORAGES).find((storage) => storage.ggmlTypes.includes(ggmlType)) ?? null;
}

/** Splits the raw bytes of a tensor into planes: views where the layout allows, else fresh. */
export function unpackStored(name: StorageName, bytes: Uint8Array, shape: readonly number[]): StoredTensor {
  const storage: Storage = STORAGES[name];
  const expected = storedBytes(storage, shape);
  assertInternal(bytes.length === expected, `${bytes.length} bytes of ${name}, expected ${expected}`);
  return { storage: name, shape, planes: storage.unpack(bytes, shape) };
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
  dequantizeInto(stored, values);
  return values;
}

/** Computes the values of a stored tensor as `dequantize` does, into memory of the caller. */
export function dequantizeInto(stored: StoredTensor, into: DataOf<"float32">): void {
  STORAGES[stored.storage].dequantize(stored, into);
}

/** Rounds values to a storage kind, as ggml's reference does; the caller owns the result. @throws RangeError as `rowBytes` */
export function quantizeTo(
  name: StorageName,
  values: DataOf<"float32">,
  shape: readonly number[],
): StoredTensor {
  const storage: Storage = STORAGES[name];
  rowBytes(storage, rowsAndColumns(shape).numColumns);
  return { storage: name, shape, planes: storage.quantize(values, shape) };
}

/** Computes the bytes that a stored tensor takes in memory and in files. */
export function sizeBytes(stored: StoredTensor): number {
  return storedBytes(STORAGES[stored.storage], stored.shape);
}

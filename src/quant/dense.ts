/** @file What the unquantized kinds share: one plane `data` that is the raw bytes read as numbers. */
import { DTYPES, type DataOf } from "../graph/dtype.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { numElements } from "../graph/shape.ts";
import { type Planes, plane } from "./planes.ts";

type DenseType = "float32" | "float16" | "bfloat16";

/** Reads raw little-endian bytes as the one plane of a dense kind: a view when aligned, else a copy. */
export function unpackDense(dtype: DenseType, bytes: Uint8Array, shape: readonly number[]): Planes {
  const { array: TypedArray, sizeBytes } = DTYPES[dtype];
  const aligned = bytes.byteOffset % sizeBytes === 0 ? bytes : bytes.slice();
  const data = new TypedArray(aligned.buffer as ArrayBuffer, aligned.byteOffset, numElements(shape));
  return { data: hostTensor(dtype, shape, data as DataOf<DenseType>) };
}

/** Copies the one plane of a dense kind into fresh bytes. */
export function packDense(dtype: DenseType, planes: Planes): Uint8Array {
  const { data } = plane(planes, "data", dtype);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

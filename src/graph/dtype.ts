/**
 * @file Element types of tensors: name, number in ONNX files, bytes, and the typed array that holds them on the host.
 *
 * On the host float16 and bfloat16 are their 16 raw bits.
 */

export const DTYPES = {
  float32: { onnx: 1, sizeBytes: 4, array: Float32Array },
  uint8: { onnx: 2, sizeBytes: 1, array: Uint8Array },
  int8: { onnx: 3, sizeBytes: 1, array: Int8Array },
  int32: { onnx: 6, sizeBytes: 4, array: Int32Array },
  int64: { onnx: 7, sizeBytes: 8, array: BigInt64Array },
  bool: { onnx: 9, sizeBytes: 1, array: Uint8Array },
  float16: { onnx: 10, sizeBytes: 2, array: Uint16Array },
  bfloat16: { onnx: 16, sizeBytes: 2, array: Uint16Array },
} as const;

/** Bytes of a float32 number, the type in which programs compute. */
export const FLOAT_BYTES = DTYPES.float32.sizeBytes;

export type DType = keyof typeof DTYPES;

interface Arrays {
  readonly float32: Float32Array;
  readonly uint8: Uint8Array;
  readonly int8: Int8Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  readonly bool: Uint8Array;
  readonly float16: Uint16Array;
  readonly bfloat16: Uint16Array;
}

/** The typed array of an element type. */
export type DataOf<D extends DType> = Arrays[D];

/** Any typed array that can hold a tensor. */
export type TensorData = DataOf<DType>;

/** The memory of an array as bytes, without a copy. */
export function bytesOf({ buffer, byteOffset, byteLength }: TensorData): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** One character for each byte: this makes a key of 786,432 numbers in 13 ms. Decimal digits take 240 ms, and do not tell -0 from 0. */
const BYTES = new TextDecoder("latin1");

/** Returns a text that is the same for two constants only if they are equal. */
export function constantKey(dtype: DType, shape: readonly number[], data: TensorData): string {
  return `${dtype}[${shape.join(",")}]${BYTES.decode(bytesOf(data))}`;
}

/** Concatenates bytes in fresh memory. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

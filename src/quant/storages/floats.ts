/** @file Storages f32, f16 and bf16: floats as in the file. Plane: data of the element type, the tensor's shape. */
import { DTYPES, type DataOf } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { float32ToBfloat16, float32ToFloat16, widenBfloat16, widenFloat16 } from "../codes/half.ts";
import { plane } from "../planes.ts";
import type { Storage } from "../storage.ts";

type FloatType = "float32" | "float16" | "bfloat16";

/** What a kind defines beside its element type. */
interface FloatKind<D extends FloatType> extends Pick<Storage, "name" | "ggufFileType" | "summary"> {
  readonly ggmlType: number;
  /** Rounds to fresh memory. */
  readonly round: (values: DataOf<"float32">) => DataOf<D>;
  readonly widen: (data: DataOf<D>, into: DataOf<"float32">) => void;
}

function defineFloats<D extends FloatType>(dtype: D, kind: FloatKind<D>): Storage {
  const { ggmlType, round, widen, ...own } = kind;
  const { array: TypedArray, sizeBytes } = DTYPES[dtype];
  return {
    ...own,
    ggmlTypes: [ggmlType],
    blockSize: 1,
    blockBytes: sizeBytes,
    unpack: (bytes, shape) => {
      const { buffer, byteOffset } = bytes.byteOffset % sizeBytes === 0 ? bytes : bytes.slice();
      const data = new TypedArray(buffer as ArrayBuffer, byteOffset, numElements(shape)) as DataOf<D>;
      return { data: hostTensor(dtype, shape, data) };
    },
    pack: (planes) => {
      const { buffer, byteOffset, byteLength } = plane(planes, "data", dtype).data;
      return new Uint8Array(buffer, byteOffset, byteLength).slice();
    },
    dequantize: (planes, first, end, into) =>
      widen(plane(planes, "data", dtype).data.subarray(first, end) as DataOf<D>, into),
    quantize: (values, shape) => ({ data: hostTensor(dtype, shape, round(values)) }),
    affine: "not-affine",
  };
}

export const f32 = defineFloats("float32", {
  name: "f32",
  ggmlType: 0,
  ggufFileType: 0,
  summary: "32-bit floats, as they are.",
  round: (values) => values.slice(),
  widen: (data, into) => into.set(data),
});

export const f16 = defineFloats("float16", {
  name: "f16",
  ggmlType: 1,
  ggufFileType: 1,
  summary: "16-bit floats of IEEE 754.",
  round: float32ToFloat16,
  widen: widenFloat16,
});

export const bf16 = defineFloats("bfloat16", {
  name: "bf16",
  ggmlType: 30,
  ggufFileType: 32,
  summary: "The upper half of 32-bit floats.",
  round: float32ToBfloat16,
  widen: widenBfloat16,
});

/** @file Storage bf16: the upper half of 32-bit floats. Plane: data bfloat16, the tensor's shape. */
import { hostTensor } from "../../runtime/host-tensor.ts";
import { packDense, unpackDense } from "../dense.ts";
import { float32ToBfloat16, widenBfloat16 } from "../codes/half.ts";
import { plane } from "../planes.ts";
import type { Storage } from "../storage.ts";

/** The upper half of 32-bit floats. */
export const bf16: Storage = {
  name: "bf16",
  ggmlTypes: [30],
  ggufFileType: 32,
  summary: "The upper half of 32-bit floats.",
  blockSize: 1,
  blockBytes: 2,
  unpack: (bytes, shape) => unpackDense("bfloat16", bytes, shape),
  pack: (planes) => packDense("bfloat16", planes),
  dequantize: (planes, first, end, into) =>
    widenBfloat16(plane(planes, "data", "bfloat16").data.subarray(first, end), into),
  quantize: (values, shape) => ({ data: hostTensor("bfloat16", shape, float32ToBfloat16(values)) }),
  affine: "not-affine",
};

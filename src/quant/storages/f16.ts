/** @file Storage f16: 16-bit floats of IEEE 754. Plane: data float16, the tensor's shape. */
import { hostTensor } from "../../runtime/host-tensor.ts";
import { packDense, unpackDense } from "../dense.ts";
import { float32ToFloat16, widenFloat16 } from "../codes/half.ts";
import { plane } from "../planes.ts";
import type { Storage } from "../storage.ts";

/** 16-bit floats of IEEE 754. */
export const f16: Storage = {
  name: "f16",
  ggmlTypes: [1],
  ggufFileType: 1,
  summary: "16-bit floats of IEEE 754.",
  blockSize: 1,
  blockBytes: 2,
  unpack: (bytes, shape) => unpackDense("float16", bytes, shape),
  pack: (planes) => packDense("float16", planes),
  dequantize: (planes, first, end, into) =>
    widenFloat16(plane(planes, "data", "float16").data.subarray(first, end), into),
  quantize: (values, shape) => ({ data: hostTensor("float16", shape, float32ToFloat16(values)) }),
  affine: "not-affine",
};

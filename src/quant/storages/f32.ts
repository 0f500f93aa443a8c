/** @file Storage f32: 32-bit floats, as they are. Plane: data float32, the tensor's shape. */
import { hostTensor } from "../../runtime/host-tensor.ts";
import { packDense, unpackDense } from "../dense.ts";
import { plane } from "../planes.ts";
import type { Storage } from "../storage.ts";

/** 32-bit floats, as they are. */
export const f32: Storage = {
  name: "f32",
  ggmlTypes: [0],
  ggufFileType: 0,
  summary: "32-bit floats, as they are.",
  blockSize: 1,
  blockBytes: 4,
  unpack: (bytes, shape) => unpackDense("float32", bytes, shape),
  pack: (planes) => packDense("float32", planes),
  dequantize: (planes, first, end, into) =>
    into.set(plane(planes, "data", "float32").data.subarray(first, end)),
  quantize: (values, shape) => ({ data: hostTensor("float32", shape, values.slice()) }),
  affine: "not-affine",
};

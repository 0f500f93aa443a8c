/** @file The vector of one row in the shape in which programs multiply it. */
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** A row's vector as programs multiply it with [T, width]; the same memory. */
export function perToken(data: Float32Array): HostTensor<"float32"> {
  return hostTensor("float32", [1, data.length], data);
}

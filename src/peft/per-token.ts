/** @file A vector of an adapter among those of other rows. */
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** A row's vector as programs multiply it with [T, width]; the same memory. */
export function perToken(data: Float32Array): HostTensor<"float32"> {
  return hostTensor("float32", [1, data.length], data);
}

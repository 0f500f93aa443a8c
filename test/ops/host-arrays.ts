/** @file Turns float64 arrays into host tensors and back, and draws the inputs of a case. */
import { DTYPES, type DType, type TensorData } from "../../src/graph/dtype.ts";
import { type Bindings, evaluateShape } from "../../src/graph/shape.ts";
import { Random } from "../../src/random.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import type { Array64 } from "./array64.ts";
import { count } from "./array64.ts";
import type { InputSpec } from "./op-suite.ts";

/** Copies into a host tensor of an element type. */
export function toHost(dtype: DType, x: Array64): HostTensor {
  return { dtype, shape: x.shape, data: encode(dtype, x.data) };
}

function encode(dtype: DType, data: Float64Array): TensorData {
  if (dtype === "int64") return BigInt64Array.from(data, (v) => BigInt(v));
  if (dtype === "float16") return new Uint16Array(Float16Array.from(data).buffer);
  if (dtype === "bfloat16") throw new TypeError("no case uses bfloat16");
  return DTYPES[dtype].array.from(data);
}

/** Copies constants or a host tensor's elements into float64. */
export function decode(dtype: DType, data: TensorData): Float64Array {
  if (dtype === "float16") {
    return Float64Array.from(new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length));
  }
  return Float64Array.from(data as Iterable<number | bigint>, Number);
}

/** Draws the inputs of a case; float values are float32 numbers, so both precisions see the same ones. */
export function drawInputs(inputs: readonly InputSpec[], bindings: Bindings, seed: number): Array64[] {
  const random = new Random(seed);
  return inputs.map(({ shape, draw }) => {
    const sizes = evaluateShape(shape, bindings);
    const data = new Float64Array(count(sizes)).map((_, place) => Math.fround(draw(random, place)));
    return { shape: sizes, data };
  });
}

/** @file Tensors of any storage kind for tests: random bytes as blocks, with scales that make weights of about one size. */
import { numElements } from "../../src/graph/shape.ts";
import type { Random } from "../../src/random.ts";
import { float32ToFloat16 } from "../../src/quant/codes/half.ts";
import { storedBytes } from "../../src/quant/storage.ts";
import { type StorageName, STORAGES } from "../../src/quant/storages.ts";
import { dequantize, packStored, quantizeTo, unpackStored } from "../../src/quant/stored-tensor.ts";
import type { RawTensor } from "./gguf.ts";

/** Makes a tensor whose values have a mean square of `size`²; kinds of floats round normal numbers instead. */
export function randomTensor(
  name: string,
  kind: StorageName,
  shape: readonly number[],
  size: number,
  random: Random,
): RawTensor {
  const storage = STORAGES[kind];
  const ggmlType = storage.ggmlTypes[0]!;
  if (storage.blockSize === 1) {
    const values = new Float32Array(numElements(shape)).map(() => size * random.normal());
    return { name, ggmlType, shape, bytes: packStored(quantizeTo(kind, values, shape)) };
  }
  const raw = new Uint8Array(storedBytes(storage, shape)).map(() => random.uint32() & 0xff);
  const { planes, ...rest } = unpackStored(kind, raw, shape);
  const scaled = (factor: number): Uint8Array => {
    const replaced = Object.entries(planes).map(([key, tensor]) => {
      const isPower = key === "scale" && tensor.dtype === "uint8";
      if (tensor.dtype !== "float16" && !isPower) return [key, tensor];
      const values = new Float32Array(tensor.data.length).map(() => factor * (1 + random.normal() / 4));
      const powers = (): Uint8Array =>
        Uint8Array.from(values, (value) => 127 + Math.round(Math.log2(Math.abs(value))));
      return [key, { ...tensor, data: isPower ? powers() : float32ToFloat16(values) }];
    });
    return packStored({ ...rest, planes: Object.fromEntries(replaced) });
  };
  const probe = dequantize(unpackStored(kind, scaled(1), shape));
  const root = Math.sqrt(probe.reduce((sum, value) => sum + value ** 2, 0) / probe.length);
  return { name, ggmlType, shape, bytes: scaled(size / root) };
}

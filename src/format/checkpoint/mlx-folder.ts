/** @file Folders that MLX has written, of families whose tensors it keeps otherwise than transformers, as those of transformers. */
import { numElements } from "../../graph/shape.ts";
import type { MlxRules } from "../../models/config/checkpoint-rules.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import { dequantize, storedFloats } from "../../quant/stored-tensor.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";

/** A checkpoint under the family's names, with the tensors that transformers has; the very same where MLX did not write it. */
export function fromMlx(checkpoint: Checkpoint, rules: MlxRules | null): Checkpoint {
  const infos = [...checkpoint.tensors.values()];
  const taps = rules ? infos.filter((info) => rules.taps.test(info.name) && isTurned(info)) : [];
  if (!rules || taps.length === 0) return checkpoint;
  const norms = infos.filter(({ name }) => rules.plusOne?.test(name));
  const isNorm = new Set(norms.map(({ name }) => name));
  const tensors = new Map(checkpoint.tensors);
  for (const info of taps) tensors.set(info.name, { ...info, shape: turned(info.shape) });
  for (const info of norms) {
    tensors.set(info.name, { ...info, storage: "f32", sizeBytes: storedBytes(STORAGES.f32, info.shape) });
  }
  return {
    ...checkpoint,
    tensors,
    async read(name, memory) {
      const stored = await checkpoint.read(name, memory);
      const shape = tensors.get(name)?.shape ?? stored.shape;
      if (!isNorm.has(name)) return { ...stored, shape };
      return storedFloats(hostTensor("float32", shape, dequantize(stored).map(withoutOne)));
    },
    async readInto(name, into, start) {
      await checkpoint.readInto(name, into, start);
      if (isNorm.has(name)) into.set(into.map(withoutOne));
    },
    view: (name) => (isNorm.has(name) ? null : checkpoint.view(name)),
  };
}

const withoutOne = (value: number): number => value - 1;

/** Whether factors of a convolution are [channels, taps, 1]. */
function isTurned({ shape }: TensorInfo): boolean {
  return shape.length === 3 && shape[2] === 1 && shape[1] !== 1;
}

const turned = ([numChannels = 0, ...rest]: readonly number[]): number[] => [
  numChannels,
  1,
  numElements(rest),
];

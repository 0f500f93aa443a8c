/** @file Converts checkpoints written by MLX to the tensors of transformers, in families where these differ. */
import { numElements } from "../../graph/shape.ts";
import type { MlxRules } from "../../models/config/checkpoint-rules.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import { dequantize, storedFloats } from "../../quant/stored-tensor.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { joinedForm, joinHalves, readHalves } from "./halves.ts";

/** Converts a checkpoint, whose tensors have the family's names; one not written by MLX is returned as it is. */
export function fromMlx(checkpoint: Checkpoint, rules: MlxRules | null): Checkpoint {
  return rules ? withoutTurns(withJoined(checkpoint, rules), rules) : checkpoint;
}

/** Joins matrices that MLX has split, one below the other. */
function withJoined(checkpoint: Checkpoint, { split }: MlxRules): Checkpoint {
  if (!split) return checkpoint;
  const part = `.${split.first}.`;
  const tensors = new Map(checkpoint.tensors);
  const halvesOf = new Map<string, readonly [TensorInfo, TensorInfo]>();
  for (const first of checkpoint.tensors.values()) {
    if (!first.name.includes(part)) continue;
    const second = checkpoint.tensors.get(first.name.replace(part, `.${split.second}.`));
    if (!second || !areAlike(first, second)) continue;
    const name = first.name.replace(part, `.${split.whole}.`);
    halvesOf.set(name, [first, second]);
    for (const half of [first, second]) tensors.delete(half.name);
    tensors.set(name, {
      ...first,
      ...joinedForm(first, second),
      name,
      sizeBytes: first.sizeBytes + second.sizeBytes,
    });
  }
  if (halvesOf.size === 0) return checkpoint;
  return {
    ...checkpoint,
    tensors,
    async read(name, memory) {
      const halves = halvesOf.get(name);
      if (!halves) return await checkpoint.read(name, memory);
      return joinHalves(await checkpoint.read(halves[0].name), await checkpoint.read(halves[1].name));
    },
    async readInto(name, into, start = 0) {
      const halves = halvesOf.get(name);
      if (!halves) return await checkpoint.readInto(name, into, start);
      await readHalves({ size: numElements(halves[0].shape), start }, into, (half, from, piece) =>
        checkpoint.readInto(halves[half].name, piece, from),
      );
    },
    view: (name) => (halvesOf.has(name) ? null : checkpoint.view(name)),
  };
}

/** Whether two tensors can be halves of one: they have the same shape and storage. */
function areAlike(first: TensorInfo, second: TensorInfo): boolean {
  const kindOf = ({ shape, storage, groupSize }: TensorInfo): string =>
    [...shape, storage, groupSize].join(" ");
  return kindOf(first) === kindOf(second);
}

/** Restores the axes of convolutions, and subtracts 1 from norms: MLX adds it in models whose convolutions it transposes. */
function withoutTurns(checkpoint: Checkpoint, rules: MlxRules): Checkpoint {
  const infos = [...checkpoint.tensors.values()];
  const taps = infos.filter((info) => rules.taps.test(info.name) && isTurned(info));
  if (taps.length === 0) return checkpoint;
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

/** Whether the weight of a convolution has MLX's shape [channels, taps, 1]. */
function isTurned({ shape }: TensorInfo): boolean {
  return shape.length === 3 && shape[2] === 1 && shape[1] !== 1;
}

const turned = ([numChannels = 0, ...rest]: readonly number[]): number[] => [
  numChannels,
  1,
  numElements(rest),
];

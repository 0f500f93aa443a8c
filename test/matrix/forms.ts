/** @file In which forms a tiny model can lie: files of several kinds, one or several, and quantized in memory. */
import { rmSync, writeFileSync } from "node:fs";
import type { Checkpoint } from "../../src/format/checkpoint/checkpoint.ts";
import { loadModel, writeModel } from "../../src/format/by-path.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import { STORAGES, type StorageName } from "../../src/quant/storages.ts";
import { type StoredTensor, quantizeTo } from "../../src/quant/stored-tensor.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { memorySource } from "../tiny/memory-source.ts";
import { tinyModelParts, type TinyModelOptions, writeTinyModel } from "../tiny/model.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";

/** A model in some form, with a checkpoint that whoever opens it closes. */
export interface FormedModel {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
}

type Open = (path: string, options: TinyModelOptions) => Promise<FormedModel>;

/** Forms by name. */
export const FORMS: Readonly<Record<string, Open>> = {
  "one file of float32": async (path, options) => await loadModel(await writeTinyModel(path, options)),

  "one file of bfloat16": async (path, options) => {
    const { config, tensors } = tinyModelParts(options);
    const narrow = [...tensors].map(([name, { shape, data }]): [string, HostTensor] => [
      name,
      quantizeTo("bf16", data, shape).planes["data"] as HostTensor,
    ]);
    await writeModel(path, { config, tensors: narrow, generationConfig: null, tokenizerFiles: null });
    return await loadModel(path);
  },

  "two files of float32": async (path, options) => {
    const { config, tensors } = tinyModelParts(options);
    await writeModel(path, { config, tensors: [], generationConfig: null, tokenizerFiles: null });
    rmSync(`${path}/model.safetensors`);
    const fileOf = (i: number): string => `model-0000${1 + (i % 2)}-of-00002.safetensors`;
    const all = [...tensors];
    for (const part of [0, 1]) {
      await writeSafetensors(
        `${path}/${fileOf(part)}`,
        all.filter((_, i) => i % 2 === part),
      );
    }
    const places = all.map(([name], i) => [name, fileOf(i)]);
    const index = JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(places) });
    writeFileSync(`${path}/model.safetensors.index.json`, index);
    return await loadModel(path);
  },

  "8 bits in memory": (path, options) => openQuantized(path, options, "q8_0"),
  "4 bits in memory": (path, options) => openQuantized(path, options, "q4_0"),
};

/** Quantizes every matrix whose rows fill blocks; the checkpoint is that of what was quantized. */
async function openQuantized(
  path: string,
  options: TinyModelOptions,
  storage: StorageName,
): Promise<FormedModel> {
  const { base, checkpoint } = await loadModel(await writeTinyModel(path, options));
  return { base: await quantizeBase(base, storage), checkpoint };
}

/** The same model in memory, with its matrices in another form of storage. */
export async function quantizeBase(base: BaseModel, storage: StorageName): Promise<BaseModel> {
  const tensors = new Map<string, StoredTensor>();
  for (const name of base.model.tensors.keys()) {
    const { shape, data } = await base.values(name);
    const fits = shape.length === 2 && shape[1]! % STORAGES[storage].blockSize === 0;
    tensors.set(name, quantizeTo(fits ? storage : "f32", data, shape));
  }
  return new BaseModel(base.name, base.model, memorySource(tensors));
}

/** @file Tensors of a base model in memory, in the form in which they are kept. */
import type { StoredTensor } from "../src/quant/storage.ts";
import { dequantizeInto } from "../src/quant/storages.ts";
import type { WeightSource } from "../src/models/base-model.ts";

/** Makes a source of tensors that are in memory, by Hugging Face name. */
export function memorySource(tensors: ReadonlyMap<string, StoredTensor>): WeightSource {
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new RangeError(`Cannot read tensor "${name}": the model has none of this name`);
    return tensor;
  };
  return {
    storageOf: (name) => find(name).storage,
    stored: (name) => Promise.resolve(find(name)),
    readInto: (name, into) => {
      dequantizeInto(find(name), into);
      return Promise.resolve();
    },
  };
}

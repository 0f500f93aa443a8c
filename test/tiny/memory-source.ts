/** @file Tensors of a base model in memory, in the form in which they are kept. */
import { type StoredTensor, dequantizeFrom } from "../../src/quant/stored-tensor.ts";
import type { WeightSource } from "../../src/models/base/base-model.ts";

/** Makes a source of tensors that are in memory, by Hugging Face name. */
export function memorySource(tensors: ReadonlyMap<string, StoredTensor>): WeightSource {
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new RangeError(`Cannot read tensor "${name}": the model has none of this name`);
    return tensor;
  };
  return {
    storageOf: (name) => find(name).storage,
    groupSizeOf: () => null,
    stored: (name) => Promise.resolve(find(name)),
    view: () => null,
    readInto: (name, into, start = 0) => {
      dequantizeFrom(find(name), start, into);
      return Promise.resolve();
    },
  };
}

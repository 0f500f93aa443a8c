/** @file A base whose matrices are kept in a kind of few bits. */
import { BaseModel } from "../../src/models/base/base-model.ts";
import { type StoredTensor, dequantize, quantizeTo } from "../../src/quant/stored-tensor.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { memorySource } from "./memory-source.ts";

/** Rounds the matrices of a base, which stays as it was. */
export async function roundedTo(kind: StorageName, { name, model, source }: BaseModel): Promise<BaseModel> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name: tensor, shape } of model.tensors.values()) {
    const stored = await source.stored(tensor);
    tensors.set(tensor, shape.length < 2 ? stored : quantizeTo(kind, dequantize(stored), shape));
  }
  return new BaseModel(name, model, memorySource(tensors));
}

/** @file A base merged with its adapter as a model of its own, without a second copy of weights in memory. */
import { numElements } from "../graph/shape.ts";
import { BaseModel } from "../models/base/base-model.ts";
import { storedFloats } from "../quant/stored-tensor.ts";
import type { Engine } from "../runtime/engine.ts";
import { zeros } from "../runtime/host-tensor.ts";
import type { Adapter } from "./attach.ts";
import { Merger } from "./merge.ts";
import { requireOwnBase } from "./own-base.ts";

/**
 * Makes a model whose weights are merged whenever they are read. It needs no more memory than its base, whose files must stay
 * open as long as it is used. The caller releases its programs.
 * @throws as `mergeAdapter`
 */
export async function mergedModel(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<{ readonly model: BaseModel; release(): Promise<void> }> {
  const merger = new Merger(engine, base, adapter);
  await requireOwnBase(base, [adapter]);
  const changed = new Set(merger.names());
  const { name, model, source } = base;
  const readInto = async (tensor: string, into: Float32Array, start = 0): Promise<void> => {
    if (!changed.has(tensor)) return await source.readInto(model.storedName(tensor), into, start);
    const whole = start === 0 && into.length === numElements(merger.shapeOf(tensor));
    const values = whole ? into : new Float32Array(numElements(merger.shapeOf(tensor)));
    if (!(await merger.mergeInto(tensor, values))) await source.readInto(model.storedName(tensor), values);
    if (!whole) into.set(values.subarray(start, start + into.length));
  };
  const merged = new BaseModel(name, changed.has(model.headTensor.name) ? model.untied() : model, {
    storageOf: (tensor) => (changed.has(tensor) ? "f32" : source.storageOf(tensor)),
    groupSizeOf: (tensor) => (changed.has(tensor) ? null : source.groupSizeOf(tensor)),
    stored: async (tensor, memory) => {
      if (!changed.has(tensor)) return await source.stored(model.storedName(tensor), memory);
      const data = zeros("float32", merger.shapeOf(tensor));
      await readInto(tensor, data.data);
      return storedFloats(data);
    },
    readInto,
    view: (tensor) => (changed.has(tensor) ? null : source.view(model.storedName(tensor))),
  });
  return { model: merged, release: () => merger.release() };
}

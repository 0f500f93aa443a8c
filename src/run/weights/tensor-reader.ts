/** @file Makes the reader through which an arithmetic reads a tensor of a base. */
import type { WeightSource } from "../../models/base/base-model.ts";
import type { TensorReader } from "../../nn/compute.ts";

/** Reads a tensor into memory, without smoothing factors. */
export function readerOf(source: WeightSource, name: string): TensorReader {
  return {
    stored: (planes) => source.stored(name, planes),
    readInto: (into, start) => source.readInto(name, into, start),
    view: () => null,
    smoothing: () => null,
  };
}

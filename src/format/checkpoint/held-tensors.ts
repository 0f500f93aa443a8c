/** @file A checkpoint with additional tensors that are in memory, not in its files. */
import { storedFloats } from "../../quant/stored-tensor.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";

/** Adds tensors to a checkpoint, or replaces those of the same name. */
export function withHeldTensors(
  checkpoint: Checkpoint,
  held: ReadonlyMap<string, HostTensor<"float32">>,
): Checkpoint {
  const infos = [...held].map(([name, { shape, data }]): [string, TensorInfo] => [
    name,
    { name, shape, storage: "f32", sizeBytes: data.byteLength },
  ]);
  return {
    ...checkpoint,
    tensors: new Map([...checkpoint.tensors, ...infos]),
    read: async (name, memory) => {
      const own = held.get(name);
      return own ? storedFloats(own) : await checkpoint.read(name, memory);
    },
    view: (name) => held.get(name) ?? checkpoint.view(name),
    async readInto(name, into, start = 0) {
      const own = held.get(name);
      if (own) into.set(own.data.subarray(start, start + into.length));
      else await checkpoint.readInto(name, into, start);
    },
  };
}

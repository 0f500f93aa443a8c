/** @file The tensors of a merged model as a folder holds them: experts in stacks, where the family's files have them so. */
import { UsageError } from "../../errors.ts";
import { DTYPES } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { folderDtype } from "../../format/checkpoint/folder-dtypes.ts";
import type { TensorSource } from "../../format/files/safetensors/safetensors-writer.ts";
import type { CheckpointRules } from "../../models/config/checkpoint-rules.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { MergedTensor } from "./merged-tensors.ts";

/** What is known of a tensor that becomes one of the folder, or a part of one. */
type FolderTensor = Pick<MergedTensor, "name" | "shape" | "storage" | "load">;
/** A tensor of the folder, by its name. */
type NamedSource = readonly [name: string, source: TensorSource];

/** Lists tensors of floats. @throws UsageError "usage/model" for experts of several types in one stack */
export function folderSources(rules: CheckpointRules, tensors: readonly FolderTensor[]): NamedSource[] {
  const sources: NamedSource[] = [];
  const stacks = new Map<string, { numParts: number; parts: FolderTensor[] }>();
  for (const tensor of tensors) {
    const { name, stack: place } = rules.inFolder(tensor.name);
    if (place === null) {
      sources.push([name, sourceOf(tensor)]);
      continue;
    }
    const stack = stacks.get(name) ?? { numParts: place.numParts, parts: [] };
    stack.parts[place.index] = tensor;
    stacks.set(name, stack);
  }
  const joined = [...stacks].map(([name, { numParts, parts }]): NamedSource => [
    name,
    stackSource(numParts, parts),
  ]);
  return [...sources, ...joined];
}

function sourceOf({ shape, storage, load }: FolderTensor): TensorSource {
  return {
    dtype: folderDtype(storage)!,
    shape,
    load: async () => (await load()).planes["data"] as HostTensor,
  };
}

/** Lays the matrices of all experts one after the other. @throws UsageError "usage/model" */
function stackSource(numParts: number, parts: readonly FolderTensor[]): TensorSource {
  const [first] = parts as [FolderTensor];
  const other = parts.find(({ storage }) => storage !== first.storage);
  if (other) {
    throw new UsageError(
      "usage/model",
      `Cannot write "${other.name}" as ${other.storage}, expected ${first.storage}, as the others of its stack`,
      { hint: "Choose a type for all matrices." },
    );
  }
  const dtype = folderDtype(first.storage)!;
  const [numRows = 1, ...rest] = first.shape;
  const shape = [parts.length / numParts, numParts * numRows, ...rest];
  return {
    dtype,
    shape,
    async load() {
      const data = new DTYPES[dtype].array(numElements(shape));
      for (const [index, part] of parts.entries()) {
        const own = (await part.load()).planes["data"] as HostTensor;
        (data as Float32Array).set(own.data as Float32Array, index * numElements(part.shape));
      }
      return hostTensor(dtype, shape, data);
    },
  };
}

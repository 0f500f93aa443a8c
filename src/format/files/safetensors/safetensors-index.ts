/** @file A model of several safetensors files: `model.safetensors.index.json` tells which of them holds which tensor. */
import { z } from "zod";
import { FormatError } from "../../../errors.ts";
import { allDone } from "../../../runtime/memory/all-done.ts";
import { type Folder, pathIn, readJson } from "../folder.ts";
import { requireTensor } from "../require-tensor.ts";
import type { TensorRange } from "./safetensors-header.ts";
import { type Safetensors, openSafetensors } from "./safetensors.ts";

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Opens the files that an index lists. @throws FormatError format/file, format/json, format/tensor */
export async function openSafetensorsIndex(folder: Folder, indexName: string): Promise<Safetensors> {
  const indexPath = pathIn(folder, indexName);
  const parsed = indexSchema.safeParse(await readJson(folder, indexName));
  if (!parsed.success) {
    throw new FormatError(
      "format/file",
      `Cannot read index "${indexPath}": it has no weight_map, expected names of tensors and their files`,
      { hint: "Download the index file again." },
    );
  }
  const fileOf = new Map(Object.entries(parsed.data.weight_map));
  const shards = new Map<string, Safetensors>();
  const closeAll = (): Promise<void> => allDone([...shards.values()].map((shard) => shard.close()));
  try {
    for (const name of new Set(fileOf.values())) {
      if (/[/\\]/.test(name)) {
        throw new FormatError(
          "format/file",
          `Cannot read index "${indexPath}": file name "${name}", expected a file in the same folder`,
          { hint: "Download the index file again." },
        );
      }
      shards.set(name, await openSafetensors(await folder.open(name)));
    }
    const tensors = new Map<string, TensorRange>();
    const shardOf = new Map<string, Safetensors>();
    for (const [name, fileName] of fileOf) {
      const shard = shards.get(fileName)!;
      tensors.set(name, requireTensor(shard.tensors, name, pathIn(folder, fileName)));
      shardOf.set(name, shard);
    }
    const find = (name: string): Safetensors => requireTensor(shardOf, name, indexPath);
    return {
      path: indexPath,
      metadata: {},
      tensors,
      read: async (name, part) => await find(name).read(name, part),
      readInto: async (name, into, start) => await find(name).readInto(name, into, start),
      view: (name) => find(name).view(name),
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

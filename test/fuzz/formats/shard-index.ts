/** @file The index of a model of several files. */
import { safetensorsFile } from "../../../src/format/files/safetensors/safetensors-writer.ts";
import { openSafetensorsIndex } from "../../../src/format/files/safetensors/safetensors-index.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { hostTensor } from "../../../src/runtime/host-tensor.ts";
import { folderInMemory } from "../../files/memory-files.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateJson } from "../mutate.ts";

const INDEX = "model.safetensors.index.json";

export const shardIndex: FuzzFormat = {
  name: "shard-index",
  numCases: 600,
  async prepare() {
    const tensor = hostTensor("float32", [2], new Float32Array(2));
    const names = ["m-1.safetensors", "m-2.safetensors"] as const;
    const files = await folderInMemory(names.map((file, i) => safetensorsFile(file, [[`t${i}`, tensor]])));
    const index = { metadata: { total_size: 16 }, weight_map: { t0: names[0], t1: names[1] } };
    return {
      make: (random) => mutateJson(random, JSON.stringify(index)),
      async read(input) {
        const opened = await openSafetensorsIndex(memoryFolder("m", { ...files, [INDEX]: input }), INDEX);
        for (const name of opened.tensors.keys()) await opened.read(name);
        await opened.close();
      },
    };
  },
};

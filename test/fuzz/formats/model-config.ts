/** @file config.json of every family, alone; and of three beside their weights. */
import { loadWeights } from "../../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { parseJsonObject } from "../../../src/format/files/json-file.ts";
import { openModel } from "../../../src/models/families.ts";
import { tinyModelFiles, type MemoryFiles } from "../../files/memory-files.ts";
import { TINY_CONFIGS } from "../../tiny/configs.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateJson, pick } from "../mutate.ts";

export const modelConfig: FuzzFormat = {
  name: "model-config",
  numCases: 700,
  async prepare() {
    const withWeights: MemoryFiles[] = [];
    for (const modelType of ["llama", "vit", "qwen3_moe"])
      withWeights.push(await tinyModelFiles({ modelType }));
    const families = Object.keys(TINY_CONFIGS);
    return {
      make(random) {
        const type = pick(random, families);
        return mutateJson(random, JSON.stringify({ model_type: type, ...TINY_CONFIGS[type] }));
      },
      async read(input) {
        const text = input as string;
        const config = parseJsonObject(text, "config.json");
        const files = withWeights.find((each) =>
          (each["config.json"] as string).includes(`"${String(config["model_type"])}"`),
        );
        if (!files) return openModel(config);
        return await loadWeights(
          "m",
          await openCheckpoint(memoryFolder("m", { ...files, "config.json": text })),
        );
      },
    };
  },
};

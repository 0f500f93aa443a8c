/** @file adapter_config.json of several methods, read onto a model and, for sums of adapters, without one. */
import { adapterFiles } from "../../../src/format/adapters/adapter.ts";
import { readAdapter } from "../../../src/format/adapters/read-adapter.ts";
import { readAdapterWeights } from "../../../src/format/adapters/adapter-weights.ts";
import { loadWeights } from "../../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { METHODS, findMethod } from "../../../src/peft/methods.ts";
import { folderInMemory, type MemoryFiles, tinyModelFiles } from "../../files/memory-files.ts";
import { attachTo } from "../../passes/model-passes.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateJson } from "../mutate.ts";

const FILE = "adapter_config.json";

export const adapterConfig: FuzzFormat = {
  name: "adapter-config",
  numCases: 600,
  async prepare() {
    const checkpoint = await openCheckpoint(memoryFolder("m", await tinyModelFiles()));
    const base = await loadWeights("m", checkpoint);
    const corpus: MemoryFiles[] = [];
    const rows = { trainableTokenIndices: { embed_tokens: [5, 17], lm_head: [5, 17] } };
    const adapters = [
      ...METHODS.filter(({ name }) => name !== "full").map((method) => attachTo(base, method)),
      // Rows of single tokens beside an adapter, and alone, which is a type of its own.
      attachTo(base, findMethod("lora"), rows, ["q_proj"]),
      attachTo(base, findMethod("lora"), rows, []),
    ];
    for (const adapter of await Promise.all(adapters)) {
      corpus.push(await folderInMemory(adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null })));
      adapter.release();
    }
    const usable = corpus.filter((files) => FILE in files);
    return {
      make(random) {
        const number = random.integer(usable.length);
        return `${number} ${mutateJson(random, usable[number]![FILE] as string)}`;
      },
      async read(input) {
        const [, number, text] = /^(\d+) ([^]*)$/.exec(input as string) as unknown as [
          string,
          string,
          string,
        ];
        const folder = memoryFolder("a", { ...usable[Number(number)], [FILE]: text });
        const failures: unknown[] = [];
        const attempts = [() => readAdapter(folder, base), () => readAdapterWeights(folder)];
        for (const attempt of attempts) {
          const read = await attempt().catch((error: unknown) => void failures.push(error));
          if (read && "release" in read.adapter) read.adapter.release();
        }
        // The one that is no GraftError first.
        if (failures.length > 0) throw pickWorst(failures);
      },
    };
  },
};

function pickWorst(failures: readonly unknown[]): unknown {
  return failures.find((error) => !(error instanceof Error && "hint" in error)) ?? failures[0];
}

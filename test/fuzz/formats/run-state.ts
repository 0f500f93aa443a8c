/** @file A checkpoint of a run: where it stands, the optimizer's state, the manifest, the adapter. */
import { PartedVector } from "../../../src/runtime/memory/parted-vector.ts";
import { RESIDENT } from "../../../src/runtime/memory/vector-memory.ts";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { adapterFiles } from "../../../src/format/adapters/adapter.ts";
import { loadWeights } from "../../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { writeFolderAtomic } from "../../../src/format/files/atomic.ts";
import { textFile } from "../../../src/format/files/folder-file.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { findMethod } from "../../../src/peft/methods.ts";
import { manifestFile } from "../../../src/train/files/folder/manifest.ts";
import { optimizerFile } from "../../../src/train/files/folder/optimizer-file.ts";
import { readCheckpoint } from "../../../src/train/files/folder/read-checkpoint.ts";
import { firstState } from "../../../src/train/loop/run-state.ts";
import { tinyModelFiles } from "../../files/memory-files.ts";
import { attachTo } from "../../passes/model-passes.ts";
import { scratchFolder } from "../scratch.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes, mutateJson, pick } from "../mutate.ts";

const FILES = [
  "trainer_state.json",
  "manifest.json",
  "optimizer.safetensors",
  "adapter_model.safetensors",
] as const;

export const runState: FuzzFormat = {
  name: "run-state",
  numCases: 300,
  async prepare() {
    const folder = scratchFolder();
    const [whole, damaged] = [`${folder}/checkpoint-2`, `${folder}/damaged`];
    const checkpoint = await openCheckpoint(memoryFolder("m", await tinyModelFiles()));
    const base = await loadWeights("m", checkpoint);
    const adapter = await attachTo(base, findMethod("lora"), { rank: 1 }, ["q_proj"]);
    const optimizer = adapter.groups.map(({ values, parameters }) => ({
      slots: {
        m: new PartedVector(RESIDENT, { name: "m" }, values.length),
        v: new PartedVector(RESIDENT, { name: "v" }, values.length),
      },
      steps: parameters.map(() => 2),
    }));
    for (const [i, { values }] of adapter.groups.entries())
      for (const slot of Object.values(optimizer[i]!.slots)) await slot.write(values);
    const state = { ...firstState(4, adapter.numTrained, { seed: 1 }), global_step: 2 };
    await writeFolderAtomic(
      whole,
      [
        ...adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null }),
        optimizerFile(adapter, optimizer),
        textFile("trainer_state.json", JSON.stringify(state)),
      ],
      { seal: (written) => manifestFile(2, written) },
    );
    return {
      make(random) {
        const name = pick(random, FILES);
        const bytes = readFileSync(`${whole}/${name}`);
        const isJson = name.endsWith(".json");
        const content = isJson
          ? Buffer.from(mutateJson(random, bytes.toString("utf8")))
          : mutateBytes(random, bytes);
        return Buffer.concat([Buffer.from(`${name}\n`), content]);
      },
      async read(input) {
        const bytes = Buffer.from(input as Uint8Array);
        const end = bytes.indexOf("\n");
        const name = bytes.subarray(0, end).toString("utf8");
        rmSync(damaged, { recursive: true, force: true });
        cpSync(whole, damaged, { recursive: true });
        // Without it, so that the readers behind it are reached.
        if (name !== "manifest.json") rmSync(`${damaged}/manifest.json`);
        writeFileSync(`${damaged}/${name}`, bytes.subarray(end + 1));
        await readCheckpoint(damaged, 2, { adapter, optimizer, settings: { seed: 1 }, totalSteps: 4 });
      },
    };
  },
};

/** @file Adapters of llama.cpp: any byte of the file, read onto the model that it was made for. */
import { readFileSync, writeFileSync } from "node:fs";
import { gguf } from "../../../src/export/adapter-forms/gguf.ts";
import { UNKNOWN_PROVENANCE } from "../../../src/format/cards/model-card.ts";
import { loadWeights } from "../../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { hostTensor } from "../../../src/runtime/host-tensor.ts";
import { tinyModelFiles } from "../../files/memory-files.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes } from "../mutate.ts";
import { scratchFolder } from "../scratch.ts";

const MODULES = ["model.embed_tokens", "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"];
const RANK = 2;

export const adapterGguf: FuzzFormat = {
  name: "adapter-gguf",
  numCases: 500,
  async prepare() {
    const checkpoint = await openCheckpoint(
      memoryFolder("m", await tinyModelFiles({ config: { tie_word_embeddings: false } })),
    );
    const model = { checkpoint, base: await loadWeights("m", checkpoint) };
    const path = `${scratchFolder()}/x.gguf`;
    const factors = MODULES.map((module) => {
      const { inFeatures, outFeatures } = model.base.model.siteOf(module)!;
      const down = hostTensor("float32", [RANK, inFeatures], new Float32Array(RANK * inFeatures).fill(1));
      const up = hostTensor("float32", [outFeatures, RANK], new Float32Array(outFeatures * RANK));
      return [module, { down, up, scale: 2 }] as const;
    });
    await gguf.write(path, new Map(factors), model, UNKNOWN_PROVENANCE);
    const bytes = readFileSync(path);
    return {
      make: (random) => mutateBytes(random, bytes),
      async read(input) {
        writeFileSync(path, input);
        await gguf.read(path, model);
      },
    };
  },
};

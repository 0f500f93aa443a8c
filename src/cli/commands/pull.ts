/** @file `graft pull NAME`: puts a model on the local disk and prints where. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";

import { z } from "zod";

import { DEFAULT_MODEL, resolveModel, type ResolvedModel, type ResolveOptions } from "../../hub/resolve.ts";
import { defineCommand, type CommandIO } from "../command.ts";
import type { Bar } from "../terminal/progress.ts";

async function sizeOnDisk(path: string): Promise<number> {
  const stats = await stat(path);
  if (!stats.isDirectory()) return stats.size;
  const sizes = (await readdir(path)).map(async (file) => (await stat(join(path, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Finds a model as `resolveModel` does, and shows the download on the terminal. */
export async function pullWithProgress(
  name: string,
  io: CommandIO,
  options: Pick<ResolveOptions, "verify"> = {},
): Promise<ResolvedModel> {
  let bar: Bar | null = null;
  let source = "";
  try {
    return await resolveModel(name, {
      ...options,
      env: io.env,
      signal: io.signal,
      onProgress: (progress) => {
        if (bar === null || progress.source !== source) {
          bar?.stop();
          ({ source } = progress);
          io.stderr(`Fetching ${name} from ${source}`);
          bar = io.progress(basename(name), progress.totalBytes, "bytes");
        }
        bar.update(progress.receivedBytes);
      },
    });
  } finally {
    // Assigned inside the callback, which the type checker cannot see.
    (bar as Bar | null)?.stop();
  }
}

export const command = defineCommand({
  example: "npx graft pull HuggingFaceTB/SmolLM2-135M-Instruct",
  positionals: ["model"],
  options: z.strictObject({
    model: z
      .string()
      .default(DEFAULT_MODEL)
      .describe("Model to fetch: OWNER/NAME, OWNER/NAME@REVISION, or a local path"),
  }),
  async run({ model }, io) {
    const { path, source } = await pullWithProgress(model, io, { verify: true });
    io.stdout(path);
    io.emit({ event: "done", name: model, path, source, size_bytes: await sizeOnDisk(path) });
  },
});

/** @file `graft push`: puts an adapter or a model onto the hub. */
import { z } from "zod";

import { pushFolder } from "../hub/push.ts";
import { defineCommand } from "./command.ts";
import { warn } from "./generation.ts";
import { formatBytes } from "./numbers.ts";
import type { Bar } from "./progress.ts";

export const command = defineCommand({
  example: "npx graft push runs/mine OWNER/NAME --private",
  positionals: ["folder", "name"],
  options: z.strictObject({
    folder: z.string().describe("Folder of an adapter or a model, as train, merge and combine write it"),
    name: z.string().describe("Where to: OWNER/NAME"),
    private: z.boolean().default(false).describe("Make a repository that only you and whom you let can see"),
  }),
  async run({ folder, name, private: isPrivate }, io) {
    let bar: Bar | null = null;
    try {
      const pushed = await pushFolder({
        folder,
        name,
        isPrivate,
        env: io.env,
        signal: io.signal,
        onProgress: (sentBytes, totalBytes) => {
          bar ??= io.progress(name, totalBytes, "bytes");
          bar.update(sentBytes);
        },
      });
      (bar as Bar | null)?.stop();
      bar = null;
      const { files, leftOut, notes, url, commit, kind } = pushed;
      for (const note of notes) warn(note, io);
      const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
      if (leftOut.length > 0) io.stdout(`not pushed: ${leftOut.join(", ")}`);
      io.stdout(`${files.length} files, ${formatBytes(sizeBytes)}, are at ${url}`);
      const names = files.map((file) => file.name);
      io.emit({
        event: "done",
        name,
        url,
        commit,
        kind,
        private: isPrivate,
        files: names,
        left_out: leftOut,
        notes,
      });
    } finally {
      (bar as Bar | null)?.stop();
    }
  },
});

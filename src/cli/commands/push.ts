/** @file `graft push`: uploads an adapter or a model to the hub. */
import { z } from "zod";

import { pushFolder } from "../../hub/push/push.ts";
import { defineCommand } from "../command.ts";
import { warn } from "../report.ts";
import { formatBytes } from "../../messages/numbers.ts";
import { LateBar } from "../terminal/late-bar.ts";
import { PATH } from "../../messages/paths.ts";

export const command = defineCommand({
  example: "npx graft push runs/mine OWNER/NAME --private",
  positionals: ["folder", "name"],
  options: z.strictObject({
    folder: PATH.describe("Folder of an adapter or a model, as written by train, merge and combine"),
    name: z.string().describe("Repository: OWNER/NAME"),
    private: z.boolean().default(false).describe("Create a private repository"),
  }),
  async run({ folder, name, private: isPrivate }, io) {
    const bar = new LateBar();
    try {
      const pushed = await pushFolder({
        folder,
        name,
        isPrivate,
        env: io.env,
        signal: io.signal,
        onNote: (note) => warn(note, io),
        onProgress: (sentBytes, totalBytes) =>
          bar.update(sentBytes, () => io.progress(name, totalBytes, "bytes")),
      });
      bar.stop();
      const { files, leftOut, notes, url, commit, kind } = pushed;
      const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
      if (leftOut.length > 0) io.stdout(`not uploaded: ${leftOut.join(", ")}`);
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
      bar.stop();
    }
  },
});

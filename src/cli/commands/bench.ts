/** @file `graft bench`: runs a benchmark of the repository (bench/), with the benchmark's own flags. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { z } from "zod";

import { UsageError } from "../../errors.ts";
import { defineCommand } from "../command.ts";

/** Two folders up both from the sources and from the build; the package does not contain it. */
const PROGRAM = fileURLToPath(new URL("../../../bench/main.ts", import.meta.url));

export const command = defineCommand({
  example: "npx graft bench ops --help",
  positionals: ["words"],
  takesAllWords: true,
  options: z.strictObject({
    words: z
      .array(z.string())
      .default([])
      .describe(
        "Name of a benchmark and its flags (NAME --help shows them); without one, the benchmarks are listed",
      ),
  }),
  async run({ words }, { signal, env }) {
    if (!existsSync(PROGRAM)) {
      throw new UsageError(
        "usage/flag",
        `Cannot run benchmarks: there is no ${PROGRAM}, expected a clone of the repository`,
        {
          hint: "Clone the repository, run npm ci there, then npx graft bench.",
        },
      );
    }
    signal.throwIfAborted();
    // Passes on the Node flags of this process, which affect what the benchmark measures in its own.
    const args = [...process.execArgv, PROGRAM, ...words];
    const child = spawn(process.execPath, args, { stdio: "inherit", env });
    signal.addEventListener("abort", () => child.kill("SIGTERM"));
    const status = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (found) => resolve(found ?? 1));
    });
    signal.throwIfAborted();
    return status;
  },
});

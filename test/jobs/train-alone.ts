/** @file What a job trains, and what the same training gives without a server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StateFolder } from "../../src/jobs/state-folder.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { train } from "../../src/train/trainer.ts";

/** Of an adapter, in its folder. */
export const ADAPTER_FILE = "adapter_model.safetensors";

/** Trains in a folder of its own, by the seed of `newJob` on a base that is held as the server holds it; gives the adapter's bytes. */
export async function trainAlone(settings: TrainInput & { readonly output: string }): Promise<Buffer> {
  await train({ seed: 3, threads: 1, weights: "float32", chatTemplate: "chatml", ...settings });
  return readFileSync(join(settings.output, ADAPTER_FILE));
}

/** Puts a file into a state folder, under the id that `newJob` names. */
export async function addTrainingFile(files: StateFolder, path: string): Promise<void> {
  await files.addFile(
    {
      id: "file-1",
      object: "file",
      bytes: 1,
      created_at: 1,
      filename: "a.jsonl",
      purpose: "x",
      status: "processed",
    },
    readFileSync(path),
  );
}

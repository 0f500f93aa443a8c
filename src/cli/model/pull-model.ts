/** @file Fetches a model to the local disk, with a progress bar on the terminal. */
import { basename } from "node:path";
import { resolveModel, type ResolvedModel, type ResolveOptions } from "../../hub/resolve.ts";
import type { CommandIO } from "../command.ts";
import { LateBar } from "../terminal/late-bar.ts";

/** Finds a model as `resolveModel` does, and shows the download on the terminal. */
export async function pullWithProgress(
  name: string,
  io: CommandIO,
  options: Pick<ResolveOptions, "verify" | "sources"> = {},
): Promise<ResolvedModel> {
  const bar = new LateBar();
  let source = "";
  try {
    return await resolveModel(name, {
      ...options,
      env: io.env,
      signal: io.signal,
      onProgress: (progress) => {
        if (progress.source !== source) {
          bar.stop();
          ({ source } = progress);
          io.stderr(`Fetching ${name} from ${source}`);
        }
        bar.update(progress.receivedBytes, () => io.progress(basename(name), progress.totalBytes, "bytes"));
      },
    });
  } finally {
    bar.stop();
  }
}

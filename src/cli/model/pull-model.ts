/** @file Puts a model on the local disk, with a bar on the terminal while it is fetched. */
import { basename } from "node:path";
import { resolveModel, type ResolvedModel, type ResolveOptions } from "../../hub/resolve.ts";
import type { CommandIO } from "../command.ts";
import type { Bar } from "../terminal/progress.ts";

/** Finds a model as `resolveModel` does, and shows the download on the terminal. */
export async function pullWithProgress(
  name: string,
  io: CommandIO,
  options: Pick<ResolveOptions, "verify" | "sources"> = {},
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

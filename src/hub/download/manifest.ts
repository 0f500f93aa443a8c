/**
 * @file The list of a pulled folder's files, with sizes and checksums, stored beside them, so that a damaged file is found and
 * fetched again. Folders that somebody put together by hand have no such list and are accepted as they are.
 */
import { join } from "node:path";

import { z } from "zod";

import { TOOL_USE_FILE } from "../../format/checkpoint/tool-use-template.ts";
import { writeTextAtomic } from "../../format/files/atomic.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { lazily } from "../../messages/arguments.ts";
import { describeFileProblem, systemCode } from "../../messages/system-error.ts";
import { hashFile, type Digest } from "../remote/digest.ts";
import { BARE_NAME, hexSchema, type ListedFile } from "../remote/hub-list.ts";

export const MANIFEST_FILE = "graft-files.json";

const MANIFEST = lazily(() =>
  z.strictObject({
    files: z.array(
      z.strictObject({
        name: z.union([z.string().regex(BARE_NAME), z.literal(TOOL_USE_FILE)]),
        sizeBytes: z.int().min(0),
        digest: z.discriminatedUnion("algorithm", [
          z.strictObject({ algorithm: z.literal("sha256"), hex: hexSchema(64) }),
          z.strictObject({ algorithm: z.literal("git-sha1"), hex: hexSchema(40) }),
        ]),
      }),
    ),
  }),
);

/** Writes the list of a folder's files into it; a checksum that the hub did not give is computed from the received bytes. */
export async function writeManifest(folder: string, fetched: readonly ListedFile[]): Promise<void> {
  const files = [];
  for (const { name, sizeBytes, digest } of fetched) {
    const computed = async (): Promise<Digest> => ({
      algorithm: "sha256",
      hex: await hashFile(join(folder, name), "sha256", sizeBytes),
    });
    files.push({ name, sizeBytes, digest: digest ?? (await computed()) });
  }
  await writeTextAtomic(join(folder, MANIFEST_FILE), `${JSON.stringify({ files }, null, 2)}\n`);
}

async function readManifest(path: string): Promise<z.output<ReturnType<typeof MANIFEST>> | "damaged" | null> {
  try {
    const parsed = MANIFEST().safeParse(JSON.parse(await disk().readFile(path, "utf8")));
    return parsed.success ? parsed.data : "damaged";
  } catch (error) {
    return ["ENOENT", "ENOTDIR"].includes(systemCode(error)) ? null : "damaged";
  }
}

/**
 * Describes what is wrong with a pulled folder; `null` when nothing is, or it has no list. Sizes are always checked; checksums,
 * for which files must be read, only if `verifies` is set.
 */
export async function findDamage(
  folder: string,
  { verifies, signal }: { readonly verifies: boolean; readonly signal: AbortSignal },
): Promise<string | null> {
  const manifest = await readManifest(join(folder, MANIFEST_FILE));
  if (manifest === null) return null;
  if (manifest === "damaged") return `${join(folder, MANIFEST_FILE)} is not a list of files`;
  for (const { name, sizeBytes, digest } of manifest.files) {
    const path = join(folder, name);
    try {
      const found = await disk().stat(path);
      if (!found.isFile()) return `${path} is not a file`;
      if (found.size !== sizeBytes) return `${path} has ${found.size} bytes, expected ${sizeBytes}`;
      if (verifies && (await hashFile(path, digest.algorithm, sizeBytes, signal)) !== digest.hex) {
        return `${path} has a different checksum than when it was downloaded`;
      }
    } catch (error) {
      signal.throwIfAborted();
      return `${path} cannot be read: ${describeFileProblem(error)}`;
    }
  }
  return null;
}

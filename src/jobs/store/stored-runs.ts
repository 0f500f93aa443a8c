/**
 * @file Runs of jobs in an S3-compatible store, with copies in folders. A run is objects named by their hashes, and a manifest
 * that is put last and names them: readers see a run as it was at some time, or none.
 *
 * Only the holder of a run's lease writes under its name; what was copied lies under another (job-queue.ts).
 */
import { basename, join, sep } from "node:path";
import { z } from "zod";
import { hashBytes } from "../../data/files/data-content.ts";
import { FailedError } from "../../errors.ts";
import { writeFileAtomic } from "../../format/files/atomic.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { temporaryName } from "../../format/files/disk/temporaries.ts";
import { bytesFile } from "../../format/files/folder-file.ts";
import { toFailedRead, toFailedWrite } from "../../messages/system-error.ts";
import { filesIn, isMissing } from "../run-files.ts";
import type { S3Store } from "./s3.ts";

const MANIFEST = z.array(z.object({ path: z.string(), size_bytes: z.int(), sha256: z.string() }));
type Manifest = z.output<typeof MANIFEST>;

/** A run is written to while it is read, which is seen by its manifest at most a few times. */
const MAX_TRIES = 5;

const MANIFEST_NAME = "manifest.json";

function manifestKey(job: string, folder: string): string {
  return `jobs/${job}/${folder}/${MANIFEST_NAME}`;
}

function isManifest(key: string): boolean {
  return key.endsWith(`/${MANIFEST_NAME}`);
}

function objectKey(job: string, folder: string, sha256: string): string {
  return `jobs/${job}/${folder}/objects/${sha256}`;
}

export class StoredRuns {
  readonly #store: S3Store;
  /** Where the copy of a run is. */
  readonly #folderOf: (job: string, folder: string) => string;

  constructor(store: S3Store, folderOf: (job: string, folder: string) => string) {
    this.#store = store;
    this.#folderOf = folderOf;
  }

  /** Removes all runs of a job from the store. */
  async remove(job: string): Promise<void> {
    const keys = await this.#store.list(`jobs/${job}/`);
    const [manifests, objects] = [keys.filter(isManifest), keys.filter((key) => !isManifest(key))];
    // First, so that nobody finds a run of which something is missing.
    for (const key of [...manifests, ...objects]) await this.#store.remove(key);
  }

  /** Makes the copy of a run what is in the store, whole or not at all; false: where nothing is, it stays. @throws FailedError */
  async fetch(job: string, folder: string): Promise<boolean> {
    const target = this.#folderOf(job, folder);
    const copy = temporaryName(target);
    try {
      for (let numTries = 1; ; numTries++) {
        const manifest = await this.#manifestOf(job, folder);
        if (!manifest) return false;
        const missing = await this.#fill(job, folder, manifest, copy);
        if (missing === null) return true;
        if (missing === undefined) break;
        if (numTries === MAX_TRIES) throw damaged(missing);
      }
      await disk().rm(target, { recursive: true, force: true });
      await disk().rename(copy, target);
      return true;
    } catch (error) {
      throw toFailedWrite(error, target);
    } finally {
      await tryRemove(copy);
    }
  }

  /** Fills a folder with a run; null: the copy of it is that already. Gives the key of what is not as its manifest says. */
  async #fill(
    job: string,
    folder: string,
    manifest: Manifest,
    copy: string,
  ): Promise<string | null | undefined> {
    const target = this.#folderOf(job, folder);
    const before = await filesIn(target);
    const known = new Map<string, Uint8Array>();
    for (const path of before) {
      const bytes = await disk()
        .readFile(join(target, path))
        .catch(() => null);
      if (bytes) known.set(`${path} ${hashBytes(bytes)}`, bytes);
    }
    const isSame =
      before.length === manifest.length &&
      manifest.every(({ path, sha256 }) => known.has(`${path} ${sha256}`));
    if (isSame) return null;
    await disk().rm(copy, { recursive: true, force: true });
    for (const { path, sha256 } of manifest) {
      const key = objectKey(job, folder, sha256);
      const bytes = known.get(`${path} ${sha256}`) ?? (await this.#store.get(key));
      if (!bytes || hashBytes(bytes) !== sha256) return key;
      const place = join(copy, path);
      await writeFileAtomic(place, bytesFile(basename(place), bytes));
    }
    return undefined;
  }

  async #manifestOf(job: string, folder: string): Promise<Manifest | null> {
    const key = manifestKey(job, folder);
    const bytes = await this.#store.get(key);
    if (!bytes) return null;
    const parsed = MANIFEST.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    const isInside = ({ path }: { readonly path: string }): boolean =>
      !path.split("/").some((part) => part === "" || part === "." || part === "..") && !path.includes("\\");
    if (!parsed.success || !parsed.data.every(isInside)) throw damaged(key);
    return parsed.data;
  }

  /** Puts a run into the store: what is new of it, then its manifest; what that does not name any more goes. @throws FailedError "failed/store", FormatError "format/file" */
  async publish(job: string, folder: string, mayWrite: () => boolean = () => true): Promise<void> {
    const before = (await this.#manifestOf(job, folder)) ?? [];
    const there = new Set(before.map(({ sha256 }) => sha256));
    const manifest = await this.#putFiles(job, folder, there);
    if (!mayWrite()) return;
    const text = JSON.stringify(manifest, null, 1);
    await this.#store.put(manifestKey(job, folder), new TextEncoder().encode(text));
    const named = new Set(manifest.map(({ sha256 }) => sha256));
    for (const sha256 of there) {
      if (!named.has(sha256) && mayWrite()) await this.#store.remove(objectKey(job, folder, sha256));
    }
  }

  /** Puts the files of a run that are not there; what is removed meanwhile makes it begin anew. */
  async #putFiles(job: string, folder: string, there: ReadonlySet<string>): Promise<Manifest> {
    const put = new Set(there);
    for (let numTries = 1; ; numTries++) {
      try {
        return await this.#putOnce(job, folder, put);
      } catch (error) {
        if (!isMissing(error) || numTries === MAX_TRIES) throw error;
      }
    }
  }

  /** Puts the files of a run that have not been put, and notes those that it puts. */
  async #putOnce(job: string, folder: string, put: Set<string>): Promise<Manifest> {
    const source = this.#folderOf(job, folder);
    const manifest: Manifest = [];
    for (const path of await filesIn(source)) {
      const bytes = await readWhole(join(source, path));
      const sha256 = hashBytes(bytes);
      if (!put.has(sha256)) await this.#store.put(objectKey(job, folder, sha256), bytes);
      put.add(sha256);
      manifest.push({ path: path.split(sep).join("/"), size_bytes: bytes.length, sha256 });
    }
    return manifest;
  }
}

/** @throws FormatError "format/file" */
async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return await disk().readFile(path);
  } catch (error) {
    throw toFailedRead(error, path);
  }
}

/** What the store gives for a key that is not what was put there. */
export function damaged(key: string): FailedError {
  return new FailedError("failed/store", `Cannot read "${key}" of the store: it is not what was put there`, {
    hint: "Look whether something else writes to the store, or removes from it.",
  });
}

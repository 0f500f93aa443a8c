/**
 * @file Runs of jobs in an S3-compatible store, with copies in folders. A run consists of objects named by their hashes, and a
 * manifest that is put last and names them: readers see a run as it was at some time, or none.
 *
 * Only the holder of a run's lease writes under its name; a copied run has another name (job-queue.ts).
 */
import { basename, join, sep } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../format/files/atomic.ts";
import { ByteFile } from "../../format/files/byte-file.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { temporaryName } from "../../format/files/disk/temporaries.ts";
import { piecesOf } from "../../format/files/pieces.ts";
import { hashFile } from "../../hub/remote/digest.ts";
import { toFailedWrite } from "../../messages/system-error.ts";
import { copiedFile, hashPieces, piecesIn } from "../copied-file.ts";
import { filesIn, isMissing } from "../run-files.ts";
import type { S3Store } from "./s3.ts";
import { damaged, parseStored, storedText } from "./stored-content.ts";

const MANIFEST = z.array(z.object({ path: z.string(), size_bytes: z.int(), sha256: z.string() }));
type Manifest = z.output<typeof MANIFEST>;

/** How often to try again: the manifest of a run may change while the run is read, but only a few times. */
const MAX_TRIES = 5;

/** Most copies whose hashes are kept, the most recently used. */
const MAX_HASHED = 64;

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

/** A file of a copy; `stamp` shows whether it has changed since it was hashed. */
interface HashedFile {
  readonly stamp: string;
  readonly sha256: string;
}

export class StoredRuns {
  readonly #store: S3Store;
  /** Returns the folder with the copy of a run. */
  readonly #folderOf: (job: string, folder: string) => string;
  /** The last operation on each copy, while it runs. */
  readonly #turns = new Map<string, Promise<void>>();
  /** The files of each copy when it was last read: a job that is followed is read often. */
  readonly #hashed = new Map<string, ReadonlyMap<string, HashedFile>>();

  constructor(store: S3Store, folderOf: (job: string, folder: string) => string) {
    this.#store = store;
    this.#folderOf = folderOf;
  }

  /** Removes all runs of a job from the store. */
  async remove(job: string): Promise<void> {
    const keys = await this.#store.list(`jobs/${job}/`);
    const [manifests, objects] = [keys.filter(isManifest), keys.filter((key) => !isManifest(key))];
    // Manifests first, so that nobody finds a run with missing objects.
    for (const key of [...manifests, ...objects]) await this.#store.remove(key);
  }

  /**
   * Updates the copy of a run from the store, whole or not at all; false: the store has no such run, and the copy stays.
   * @throws FailedError
   */
  fetch(job: string, folder: string): Promise<boolean> {
    return this.#inTurn(job, folder, () => this.#fetch(job, folder));
  }

  /** Changes a run in the store through its copy. @throws as `fetch`, `publish`, `change` */
  edit(job: string, folder: string, change: () => Promise<void>): Promise<void> {
    return this.#inTurn(job, folder, async () => {
      await this.#fetch(job, folder);
      await change();
      await this.publish(job, folder);
    });
  }

  /** Runs operations on a copy one after another: two that fill it at the same time would remove each other's files. */
  #inTurn<T>(job: string, folder: string, work: () => Promise<T>): Promise<T> {
    const target = this.#folderOf(job, folder);
    const done = (this.#turns.get(target) ?? Promise.resolve()).then(work);
    const turn = done
      .then(
        () => {},
        () => {},
      )
      .then(() => void (this.#turns.get(target) === turn && this.#turns.delete(target)));
    this.#turns.set(target, turn);
    return done;
  }

  async #fetch(job: string, folder: string): Promise<boolean> {
    const target = this.#folderOf(job, folder);
    const copy = temporaryName(target);
    const old = temporaryName(target);
    try {
      for (let numTries = 1; ; numTries++) {
        const manifest = await this.#manifestOf(job, folder);
        if (!manifest) return false;
        const missing = await this.#fill(job, folder, manifest, copy);
        if (missing === null) return true;
        if (missing === undefined) break;
        if (numTries === MAX_TRIES) throw damaged(missing);
      }
      // Removed only now, so that files in use, such as an adapter, are missing as briefly as possible.
      await disk()
        .rename(target, old)
        .catch((error: unknown) => {
          if (!isMissing(error)) throw error;
        });
      await disk().rename(copy, target);
      return true;
    } catch (error) {
      throw toFailedWrite(error, target);
    } finally {
      for (const each of [copy, old]) await tryRemove(each);
    }
  }

  /**
   * Fills a folder with a run. Returns null if the copy is up to date already, or the key of an object that does not match the
   * manifest.
   */
  async #fill(
    job: string,
    folder: string,
    manifest: Manifest,
    copy: string,
  ): Promise<string | null | undefined> {
    const target = this.#folderOf(job, folder);
    const before = await this.#hashesOf(target);
    const isKnown = ({ path, sha256 }: Manifest[number]): boolean => before.get(path)?.sha256 === sha256;
    if (before.size === manifest.length && manifest.every(isKnown)) return null;
    await disk().rm(copy, { recursive: true, force: true });
    for (const file of manifest) {
      const { path, sha256, size_bytes: sizeBytes } = file;
      const [key, place] = [objectKey(job, folder, sha256), join(copy, path)];
      const isIn = (pieces: AsyncIterable<Uint8Array>): Promise<boolean> => isFilled(place, sha256, pieces);
      if (isKnown(file) && (await isIn(piecesIn(join(target, path))))) continue;
      if (!(await isIn(this.#store.piecesOf(key, sizeBytes)))) return key;
    }
    return undefined;
  }

  /** Hashes the files of a copy, keyed by their paths in manifests; unchanged files keep their hashes. */
  async #hashesOf(target: string): Promise<ReadonlyMap<string, HashedFile>> {
    const before = this.#hashed.get(target);
    const found = new Map<string, HashedFile>();
    for (const name of await filesIn(target)) {
      const [path, place] = [inManifest(name), join(target, name)];
      const { ino, size, mtimeMs } = await disk().stat(place);
      const stamp = `${ino} ${size} ${mtimeMs}`;
      const known = before?.get(path);
      found.set(
        path,
        known?.stamp === stamp ? known : { stamp, sha256: await hashFile(place, "sha256", size) },
      );
    }
    this.#hashed.delete(target);
    this.#hashed.set(target, found);
    const [oldest] = this.#hashed.keys();
    if (this.#hashed.size > MAX_HASHED && oldest !== undefined) this.#hashed.delete(oldest);
    return found;
  }

  async #manifestOf(job: string, folder: string): Promise<Manifest | null> {
    const key = manifestKey(job, folder);
    const bytes = await this.#store.get(key);
    if (!bytes) return null;
    const manifest = parseStored(bytes, key, MANIFEST);
    const isInside = ({ path }: { readonly path: string }): boolean =>
      !path.split("/").some((part) => part === "" || part === "." || part === "..") && !path.includes("\\");
    if (!manifest.every(isInside)) throw damaged(key);
    return manifest;
  }

  /**
   * Puts a run into the store: its new objects, then the manifest; then removes objects that are no longer named. @throws
   * FailedError "failed/store", FormatError "format/file"
   */
  async publish(job: string, folder: string, mayWrite: () => boolean = () => true): Promise<void> {
    const before = (await this.#manifestOf(job, folder)) ?? [];
    const there = new Set(before.map(({ sha256 }) => sha256));
    const manifest = await this.#putFiles(job, folder, there);
    if (!mayWrite()) return;
    await this.#store.put(manifestKey(job, folder), storedText(JSON.stringify(manifest, null, 1)));
    const named = new Set(manifest.map(({ sha256 }) => sha256));
    for (const sha256 of there) {
      if (!named.has(sha256) && mayWrite()) await this.#store.remove(objectKey(job, folder, sha256));
    }
  }

  /** Puts the missing files of a run; starts again if a file is removed meanwhile. */
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

  /** Puts the files of a run that are not in `put`, and adds them to it. */
  async #putOnce(job: string, folder: string, put: Set<string>): Promise<Manifest> {
    const source = this.#folderOf(job, folder);
    const manifest: Manifest = [];
    for (const path of await filesIn(source)) {
      // Hashes and puts the same bytes: a log may grow meanwhile.
      const file = await ByteFile.open(join(source, path));
      try {
        const { sizeBytes } = file;
        const pieces = (): AsyncIterable<Uint8Array> => piecesOf(file);
        const sha256 = await hashPieces(pieces());
        if (!put.has(sha256))
          await this.#store.put(objectKey(job, folder, sha256), { sizeBytes, sha256, pieces });
        put.add(sha256);
        manifest.push({ path: inManifest(path), size_bytes: sizeBytes, sha256 });
      } finally {
        await file.close();
      }
    }
    return manifest;
  }
}

function inManifest(path: string): string {
  return path.split(sep).join("/");
}

/**
 * Writes pieces to a file; false: their hash differs from that of the object. @throws as reading them; FailedError "failed/write"
 */
async function isFilled(place: string, sha256: string, pieces: AsyncIterable<Uint8Array>): Promise<boolean> {
  let written = "";
  const file = copiedFile(
    basename(place),
    () => pieces,
    (found) => (written = found),
  );
  await writeFileAtomic(place, file);
  return written === sha256;
}

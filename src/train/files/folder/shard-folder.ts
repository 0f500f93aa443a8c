/**
 * @file Shards of a run in a folder, one file per shard, named by its number.
 *
 * They belong to one process and are worthless after it. After its numbers, each file has a seal that says which process wrote which
 * shard, and how often, so that a file of another run, another model or an earlier write is never taken for it. A file is written in
 * place, which is ten times as fast as a new one: if that fails, its data is still in memory, and the run stops. Shards that the system
 * maps are in unnamed files, which end with the process.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Dirent } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, UsageError } from "../../../errors.ts";
import { writeAll } from "../../../format/files/disk/write-all.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { makeFolders } from "../../../format/files/disk/make-folders.ts";
import { systemCode, toFailedRead, toFailedWrite } from "../../../messages/system-error.ts";
import type { PageFile } from "../../../runtime/memory/file-pages.ts";
import type { ShardDisk } from "../../../runtime/memory/shard.ts";

/** Folder of a run's shards, in its output folder. */
const SHARDS_FOLDER = "shards";
/** Folder of activations that wait for their backward pass. */
export const ACTIVATIONS_FOLDER = "activations";
/** Names of shard files. An unnamed file has a name for a moment, and keeps it if the process is killed then. */
const SHARD_FILE = /^(\d{6}\.shard|[0-9a-f]{16}\.unnamed)$/;
const SEAL_BYTES = 32;
/** Error codes when a folder is not removed, or need not be: it contains something else, is a link, or does not exist. */
const STAYS: ReadonlySet<string> = new Set(["ENOTEMPTY", "EEXIST", "ENOTDIR", "ENOENT"]);

export class ShardFolder implements ShardDisk {
  readonly path: string;
  readonly #owner = randomBytes(16);
  /** How often each shard was written. */
  readonly #numWrites = new Map<number, number>();
  /** Writes and reads in progress. */
  readonly #underWay = new Set<Promise<void>>();
  #isMade = false;

  /** `output`: the run's output folder. Nothing is created before the first shard is written. */
  constructor(output: string, name = SHARDS_FOLDER) {
    this.path = join(output, name);
  }

  /**
   * Removes shards that a killed run left. `isNeeded`: shards will be written here.
   * @throws UsageError "usage/output" when the folder is needed and contains something else, which is not touched
   */
  async sweep({ isNeeded }: { readonly isNeeded: boolean }): Promise<void> {
    const foreign = (await this.#entries()).find((entry) => !isShard(entry));
    if (foreign !== undefined) {
      if (!isNeeded) return;
      throw new UsageError(
        "usage/output",
        `Cannot write shards to "${this.path}": it contains "${foreign.name}", expected only shards`,
        { hint: "Move it elsewhere, or choose another output folder." },
      );
    }
    await this.#remove();
  }

  write(index: number, bytes: Uint8Array): Promise<void> {
    return this.#follow(this.#write(index, bytes));
  }

  read(index: number, into: Uint8Array): Promise<void> {
    return this.#follow(this.#read(index, into));
  }

  #follow(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    const end = (): void => void this.#underWay.delete(work);
    work.then(end, end);
    return work;
  }

  async #write(index: number, bytes: Uint8Array): Promise<void> {
    const path = this.#fileOf(index);
    const count = (this.#numWrites.get(index) ?? 0) + 1;
    try {
      await this.#makeFolder();
      await withFile(path, count === 1 ? "w" : "r+", async (file) => {
        await writeAll(file, bytes);
        await writeAll(file, this.#seal(index, count, bytes.length));
      });
    } catch (error) {
      throw toFailedWrite(error, path);
    }
    this.#numWrites.set(index, count);
  }

  async #read(index: number, into: Uint8Array): Promise<void> {
    const path = this.#fileOf(index);
    const seal = new Uint8Array(SEAL_BYTES);
    let isWhole: boolean;
    try {
      isWhole = await withFile(
        path,
        "r",
        async (file) => (await fill(file, into, 0)) && (await fill(file, seal, into.length)),
      );
    } catch (error) {
      throw toFailedRead(error, path);
    }
    if (isWhole && this.#seal(index, this.#numWrites.get(index) ?? 0, into.length).equals(seal)) return;
    throw new FormatError("format/file", `Cannot read shard "${path}": it is not what this run last wrote`, {
      hint: "Do not change the folder of a running run; resume from its newest checkpoint with --resume.",
    });
  }

  /** Creates an unnamed file; null if the file system cannot remove the name of an open file. */
  async openUnnamed(): Promise<PageFile | null> {
    const path = join(this.path, `${randomBytes(8).toString("hex")}.unnamed`);
    try {
      await this.#makeFolder();
      const file = await disk().open(path, "wx+");
      const isUnnamed = await disk()
        .rm(path)
        .then(
          () => true,
          () => false,
        );
      if (isUnnamed) return new UnnamedFile(file, path);
      await file.close();
      await disk().rm(path, { force: true });
      return null;
    } catch (error) {
      throw toFailedWrite(error, path);
    }
  }

  async #makeFolder(): Promise<void> {
    if (!this.#isMade) await makeFolders(this.path);
    this.#isMade = true;
  }

  /** Waits for reads and writes in progress, then removes what was written. */
  async close(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    if (this.#isMade) await this.#remove();
    this.#isMade = false;
  }

  async #entries(): Promise<Dirent[]> {
    try {
      return await disk().readdir(this.path, { withFileTypes: true });
    } catch (error) {
      if (systemCode(error) === "ENOENT") return [];
      throw toFailedRead(error, this.path);
    }
  }

  /** Removes the shards, and the folder if nothing else is in it. */
  async #remove(): Promise<void> {
    const shards = (await this.#entries()).filter(isShard);
    try {
      for (const { name } of shards) await disk().rm(join(this.path, name), { force: true });
      await disk().rmdir(this.path);
    } catch (error) {
      if (!STAYS.has(systemCode(error))) throw toFailedWrite(error, this.path);
    }
  }

  #fileOf(index: number): string {
    return join(this.path, `${String(index).padStart(6, "0")}.shard`);
  }

  #seal(index: number, count: number, sizeBytes: number): Buffer {
    return createHash("sha256").update(this.#owner).update(`${index} ${count} ${sizeBytes}`).digest();
  }
}

function isShard(entry: Dirent): boolean {
  return entry.isFile() && SHARD_FILE.test(entry.name);
}

async function withFile<T>(path: string, flags: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await disk().open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

class UnnamedFile implements PageFile {
  readonly path: string;
  readonly #file: FileHandle;

  constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.path = path;
  }

  get descriptor(): number {
    return this.#file.fd;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#file, bytes, 0);
    } catch (error) {
      throw toFailedWrite(error, this.path);
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Fills an array from a file; false when the file ends before. */
async function fill(file: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  for (let done = 0; done < into.length;) {
    const length = Math.min(into.length - done, 1 << 30);
    const { bytesRead } = await file.read(into, done, length, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

/**
 * @file Files and folders that appear whole or not at all: written under a temporary name, flushed, read back by the
 * reader of their format, then renamed.
 *
 * Whatever fails, the temporary files are removed and what was there before stays. (A download keeps what it has, so that it
 * can be resumed; that is hub/download/staging.ts.)
 */
import { createHash } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { toFailedWrite } from "../../messages/system-error.ts";
import { ByteFile } from "./byte-file.ts";
import { disk, tryRemove, tryStat } from "./disk/calls.ts";
import { type FolderFile, textFile } from "./folder-file.ts";
import { makeFolders, removeFolders } from "./disk/make-folders.ts";
import { fillEmpty, renameToNew } from "./disk/new-folder.ts";
import { sweepTemporaries, temporaryName } from "./disk/temporaries.ts";
import { writeAll } from "./disk/write-all.ts";

/** Runs a step of writing `path`, with system errors turned into FailedError. */
async function attempt<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw toFailedWrite(error, path);
  }
}

/** Flushes a folder's entries to disk, where the system can do that. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await disk().open(path, "r");
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows cannot open folders; the rename has been done nevertheless.
  }
}

/** How a file is filled, and how its content is checked afterwards. */
type FileContent = Pick<FolderFile, "fill" | "check">;

/** A file that was written: its name, and the size and hash of its bytes. */
export interface WrittenFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** SHA-256 in hexadecimal. */
  readonly sha256: string;
}

/** A new file to write. */
interface NewFile {
  readonly path: string;
  /** The path to show in errors. */
  readonly shownPath: string;
  /** Permission bits; the system's default unless given. */
  readonly mode?: number | undefined;
}

/**
 * Writes a new file, flushes it and reads it back. This is not atomic: the caller renames the file or its folder. `tap` is
 * called with all bytes.
 */
async function writeNew(
  { path, shownPath, mode }: NewFile,
  content: FileContent,
  tap: (bytes: Uint8Array) => void = () => {},
): Promise<void> {
  const handle = await attempt(shownPath, () => disk().open(path, "wx", mode));
  try {
    await content.fill(async (bytes) => {
      tap(bytes);
      await attempt(shownPath, () => writeAll(handle, bytes));
    });
    await attempt(shownPath, () => handle.sync());
  } finally {
    await handle.close();
  }
  const written = await ByteFile.open(path);
  await content.check(written).finally(() => written.close());
}

async function writeHashed(folder: string, shownPath: string, file: FolderFile): Promise<WrittenFile> {
  const hash = createHash("sha256"); // a second for each 1.5 GB
  let sizeBytes = 0;
  const { name } = file;
  await attempt(shownPath, () => makeFolders(dirname(join(folder, name))));
  await writeNew({ path: join(folder, name), shownPath: join(shownPath, name) }, file, (bytes) => {
    hash.update(bytes);
    sizeBytes += bytes.length;
  });
  return { name, sizeBytes, sha256: hash.digest("hex") };
}

/**
 * Writes a file whole or not at all; missing folders are made. `mode`: permission bits; the system's default unless given.
 * @throws FailedError failed/write; FormatError format/file when it reads back as something else; errors of `fill` pass
 * unchanged.
 */
export async function writeFileAtomic(path: string, content: FileContent, mode?: number): Promise<void> {
  const made = await attempt(path, () => makeFolders(dirname(path)));
  await sweepTemporaries(dirname(path));
  const temporary = temporaryName(path);
  try {
    await writeNew({ path: temporary, shownPath: path, mode }, content);
    await attempt(path, () => disk().rename(temporary, path));
  } catch (error) {
    await tryRemove(temporary);
    await removeFolders(made);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Writes text as UTF-8, whole or not at all. @throws FailedError failed/write */
export async function writeTextAtomic(path: string, text: string, mode?: number): Promise<void> {
  await writeFileAtomic(path, textFile(basename(path), text), mode);
}

/** Renames each staged file into the folder; when one fails, those before it get their old content back. */
async function replaceFiles(staging: string, folder: string, names: readonly string[]): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const name of names) {
      const target = join(folder, name);
      const kept = join(staging, `${name}.old`);
      const info = await tryStat(target);
      if (info?.isDirectory() === true) {
        throw Object.assign(new Error("a folder has this name"), { code: "EISDIR", syscall: "rename" });
      }
      if (info !== null) {
        await disk().rename(target, kept);
        undo.push(() => disk().rename(kept, target));
      }
      const made = await makeFolders(dirname(target));
      undo.push(() => removeFolders(made));
      await disk().rename(join(staging, name), target);
      if (info === null) undo.push(() => disk().rm(target, { force: true }));
    }
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

export interface FolderOptions {
  /** Makes a last file, from the names and hashes of the others. */
  readonly seal?: (written: readonly WrittenFile[]) => FolderFile;
  /** Refuses a folder that is neither new nor empty when the files are renamed into it. */
  readonly isNew?: boolean;
}

/**
 * Writes files into a folder, all or none. A new folder appears by one rename; in one that exists, files of the
 * same names are replaced and others stay.
 * @throws as `writeFileAtomic`; UsageError usage/output for a folder that must be new but is not, or that another writer has made
 * meanwhile
 */
export async function writeFolderAtomic(
  path: string,
  files: readonly FolderFile[],
  { seal, isNew = false }: FolderOptions = {},
): Promise<void> {
  const folder = resolve(path);
  const made = await attempt(path, () => makeFolders(dirname(folder)));
  await sweepTemporaries(dirname(folder));
  const exists = (await tryStat(folder)) !== null;
  if (exists) await sweepTemporaries(folder);
  // Inside the folder when it exists: it may be a mounted disk, and a rename cannot cross disks.
  const staging = temporaryName(exists ? join(folder, "staging") : folder);
  try {
    await attempt(path, () => disk().mkdir(staging));
    const names: string[] = [];
    const write = async (file: FolderFile): Promise<WrittenFile> => {
      names.push(file.name);
      return await writeHashed(staging, path, file);
    };
    const written: WrittenFile[] = [];
    for (const file of files) written.push(await write(file));
    if (seal) await write(seal(written));
    await syncFolder(staging);
    if (exists) {
      const fill = (): Promise<void> => replaceFiles(staging, folder, names);
      await attempt(path, () => (isNew ? fillEmpty(folder, path, fill) : fill()));
      await disk().rm(staging, { recursive: true, force: true });
    } else {
      await attempt(path, () => renameToNew(staging, folder, path));
    }
  } catch (error) {
    await tryRemove(staging);
    await removeFolders(made);
    throw error;
  }
  await syncFolder(exists ? folder : dirname(folder));
}

/**
 * @file Memory whose pages become those of a file when it is given back for the first time: from then on they wait in the system's cache
 * of files and on the disk, and come again without being copied (Linux). What is never given back needs no file.
 *
 * Reading and writing shards took a quarter of the time of a step that had two fifths of them in memory: two copies, in pages that
 * were new each time.
 */
import { FailedError, assertInternal } from "../../errors.ts";
import { reserveLarge } from "./large-pages.ts";
import type { Pages } from "./retractable.ts";
import {
  MADV_DONTNEED,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  type Mapping,
  mapMemory,
} from "./system-memory.ts";

/** A file without a name that nobody else has. */
export interface PageFile {
  readonly descriptor: number;
  /** Where it was made, for messages. */
  readonly path: string;
  /** Writes all of it anew. @throws FailedError "failed/write" */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes it: it ends with what is mapped of it. */
  close(): Promise<void>;
}

/** Whether the system brings many pages at once: Linux does from 5.14 on. */
export function canBringPages(): boolean {
  if (process.platform !== "linux") return false;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  // Asked for nothing, it says whether it knows the advice.
  const probe = mapMemory(1, { flags, file: -1 }, () => ({ start: 0, sizeBytes: 1 }));
  return probe?.advise(0, 0, MADV_POPULATE_WRITE) === true;
}

export class FilePages {
  readonly #open: () => Promise<PageFile | null>;
  readonly #pages: PagesOfFile[] = [];

  /** `open` makes a file; null where that cannot be. */
  constructor(open: () => Promise<PageFile | null>) {
    this.#open = open;
  }

  /** Reserves addresses; null for what is smaller than a page, and where the system cannot. */
  reserve(sizeBytes: number): Pages | null {
    const mapping = reserveLarge(sizeBytes);
    if (!mapping) return null;
    const pages = new PagesOfFile(mapping, this.#open);
    this.#pages.push(pages);
    return pages;
  }

  /** Lets go of the files, when nothing is being taken or written any more: nobody needs the numbers. */
  async close(): Promise<void> {
    await Promise.all(this.#pages.splice(0).map((pages) => pages.close()));
  }
}

class PagesOfFile implements Pages {
  readonly #mapping: Mapping;
  readonly #open: () => Promise<PageFile | null>;
  /** Holds the numbers, but is not mapped yet. */
  #file: PageFile | null = null;
  /** Where the file was made that is mapped; null: none is. */
  #mappedPath: string | null = null;
  /** What is being taken or written. */
  #underWay: Promise<unknown> = Promise.resolve();

  constructor(mapping: Mapping, open: () => Promise<PageFile | null>) {
    this.#mapping = mapping;
    this.#open = open;
  }

  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  get keepsNumbers(): boolean {
    return this.#mappedPath !== null;
  }

  store(): Promise<boolean> {
    return this.#follow(this.#store());
  }

  async #store(): Promise<boolean> {
    this.#file ??= await this.#openMappable();
    if (!this.#file) return false;
    // In one piece, so that the system keeps it in large pages: what is touched first comes in those of 4 KB.
    await this.#file.write(new Uint8Array(this.buffer));
    return true;
  }

  /** Opens a file; null where its file system maps none that is written to. */
  async #openMappable(): Promise<PageFile | null> {
    const file = await this.#open();
    if (!file) return null;
    const mapped = { flags: MAP_SHARED, file: file.descriptor };
    const probe = mapMemory(1, mapped, () => ({ start: 0, sizeBytes: 1 }));
    // A mapping would keep the file until it is collected.
    if (probe?.leaveFile()) return file;
    await file.close();
    return null;
  }

  take(): Promise<boolean> | boolean {
    const path = this.#mappedPath;
    // Without a file pages are new, and the system clears them.
    return path === null || this.#follow(this.#bring(path));
  }

  /** Brings all pages, to be written whoever holds them: parameters that are only read change before long. */
  async #bring(path: string): Promise<false> {
    const bring = [0, this.buffer.byteLength, MADV_POPULATE_WRITE] as const;
    // Of calls on other threads there are 256 at a time.
    const isThere = await this.#mapping.adviseLater(...bring).catch(() => this.#mapping.advise(...bring));
    if (isThere) return false;
    throw new FailedError(
      "failed/write",
      `Cannot read back what is stored in "${path}": the disk cannot be read, or is full`,
      { hint: "Check the disk, and resume from the newest checkpoint with --resume." },
    );
  }

  giveBack(): void {
    const file = this.#file;
    if (!file) return void this.#mapping.advise(0, this.buffer.byteLength, MADV_DONTNEED);
    assertInternal(this.#mapping.mapFile(file.descriptor), "addresses of memory are lost");
    this.#mappedPath = file.path;
    this.#file = null;
    // The file lasts as long as it is mapped.
    void this.#follow(file.close().catch(() => {}));
  }

  #follow<T>(work: Promise<T>): Promise<T> {
    // Without its results: each would hold those before it.
    this.#underWay = Promise.allSettled([this.#underWay, work]).then(() => {});
    return work;
  }

  async close(): Promise<void> {
    await this.#underWay;
    await this.#file?.close().catch(() => {});
    // A system that cannot keeps the file until the memory is collected.
    if (this.#mappedPath !== null) this.#mapping.leaveFile();
  }
}

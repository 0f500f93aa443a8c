/**
 * @file Memory whose pages become those of a file when it is first given back. From then on they wait in the system's file cache
 * and on the disk, and come back without a copy (Linux). Memory that is never given back needs no file.
 *
 * Reading and writing shards instead took a quarter of a step with two fifths of them in memory: two copies, into new pages each time.
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

/** A file without a name, which no other process can open. */
export interface PageFile {
  readonly descriptor: number;
  /** The path at which it was made, for messages. */
  readonly path: string;
  /** Replaces its whole contents. @throws FailedError "failed/write" */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the descriptor; the file is deleted once nothing of it is mapped. */
  close(): Promise<void>;
}

/** Whether the system can bring in many pages with one call, as Linux 5.14 and later do. */
export function canBringPages(): boolean {
  if (process.platform !== "linux") return false;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  // A request for no bytes succeeds only if the system knows the advice.
  const probe = mapMemory(1, { flags, file: -1 }, () => ({ start: 0, sizeBytes: 1 }));
  return probe?.advise(0, 0, MADV_POPULATE_WRITE) === true;
}

export class FilePages {
  readonly #open: () => Promise<PageFile | null>;
  readonly #pages: PagesOfFile[] = [];

  /** `open` makes a file; null where that is impossible. */
  constructor(open: () => Promise<PageFile | null>) {
    this.#open = open;
  }

  /** Reserves addresses; null for less than a large page, and where the system cannot. */
  reserve(sizeBytes: number): Pages | null {
    const mapping = reserveLarge(sizeBytes);
    if (!mapping) return null;
    const pages = new PagesOfFile(mapping, this.#open);
    this.#pages.push(pages);
    return pages;
  }

  /** Closes the files, after reads and writes under way have ended. The numbers are lost. */
  async close(): Promise<void> {
    await Promise.all(this.#pages.splice(0).map((pages) => pages.close()));
  }
}

class PagesOfFile implements Pages {
  readonly #mapping: Mapping;
  readonly #open: () => Promise<PageFile | null>;
  /** A file that has the numbers but is not mapped yet. */
  #file: PageFile | null = null;
  /** The path of the file that is mapped; null: none is. */
  #mappedPath: string | null = null;
  /** Settles when all reads and writes under way have ended. */
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
    // Written in one piece, so that the system keeps it in large pages; pages that are touched one by one would have 4 KB.
    await this.#file.write(new Uint8Array(this.buffer));
    return true;
  }

  /** Opens a file; null where its file system has no writable mappings. */
  async #openMappable(): Promise<PageFile | null> {
    const file = await this.#open();
    if (!file) return null;
    const mapped = { flags: MAP_SHARED, file: file.descriptor };
    const probe = mapMemory(1, mapped, () => ({ start: 0, sizeBytes: 1 }));
    // The probe would keep the file until it is garbage-collected, so it lets go of it.
    if (probe?.leaveFile()) return file;
    await file.close();
    return null;
  }

  take(): Promise<boolean> | boolean {
    const path = this.#mappedPath;
    // Without a file the pages are new, so all zeros.
    return path === null || this.#follow(this.#bring(path));
  }

  /** Brings in all pages as writable, even for a holder that only reads: parameters change before long anyway. */
  async #bring(path: string): Promise<false> {
    const bring = [0, this.buffer.byteLength, MADV_POPULATE_WRITE] as const;
    // koffi allows 256 asynchronous calls at a time; beyond that, calls on this thread.
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
    // Drops the results: otherwise each would keep the ones before it alive.
    this.#underWay = Promise.allSettled([this.#underWay, work]).then(() => {});
    return work;
  }

  async close(): Promise<void> {
    await this.#underWay;
    await this.#file?.close().catch(() => {});
    // Where this fails, the file lasts until the memory is garbage-collected.
    if (this.#mappedPath !== null) this.#mapping.leaveFile();
  }
}

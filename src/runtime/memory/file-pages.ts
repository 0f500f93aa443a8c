/**
 * @file Memory whose pages are those of a file: given back they wait in the system's cache of files and on the disk, and come again
 * without being copied (Linux).
 *
 * Reading and writing shards took a quarter of the time of a step that had two fifths of them in memory: two copies, in pages that
 * were new each time.
 */
import { PAGE_BYTES } from "./large-pages.ts";
import type { PageFile, Pages } from "./retractable.ts";
import {
  MADV_DONTNEED,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  type Mapping,
  mapMemory,
} from "./system-memory.ts";

/** Whether the system brings many pages at once: Linux does from 5.14 on. */
export function canBringPages(): boolean {
  if (process.platform !== "linux") return false;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  // Asked for nothing, it says whether it knows the advice.
  const probe = mapMemory(1, { flags, file: -1 }, () => ({ start: 0, sizeBytes: 1 }));
  return probe?.advise(0, 0, MADV_POPULATE_WRITE) === true;
}

export class FilePages {
  readonly #file: PageFile;
  /** Where the next ones begin. */
  #endBytes = 0;
  readonly #mappings: Mapping[] = [];
  /** What is being taken. */
  readonly #underWay = new Set<Promise<void>>();

  /** `file`: to stay open until `close`. */
  constructor(file: PageFile) {
    this.#file = file;
  }

  /** Reserves addresses for a part of the file; null where such a file cannot be mapped, and for little. */
  reserve(sizeBytes: number): Pages | null {
    if (sizeBytes < PAGE_BYTES) return null;
    const start = this.#endBytes;
    const mapped = { flags: MAP_SHARED, file: this.#file.descriptor, offset: start };
    const mapping = mapMemory(sizeBytes, mapped, () => ({ start: 0, sizeBytes }));
    if (!mapping) return null;
    this.#endBytes += Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;
    this.#mappings.push(mapping);
    const take = this.#taking(mapping, start, sizeBytes);
    return {
      buffer: mapping.buffer,
      keepsNumbers: true,
      take: () => this.#follow(take()),
      giveBack: () => void mapping.advise(0, sizeBytes, MADV_DONTNEED),
    };
  }

  /** What takes pages, to be written whoever holds them: parameters that are only read change before long. */
  #taking(mapping: Mapping, start: number, sizeBytes: number): () => Promise<void> {
    let isWritten = false;
    return async () => {
      // Written before they are mapped: what is touched first comes in pages of 4 KB, and ends the process on a full disk.
      if (!isWritten) await this.#file.writeZeros(start, sizeBytes);
      isWritten = true;
      if (await mapping.adviseLater(0, sizeBytes, MADV_POPULATE_WRITE)) return;
      const message = "EIO: the system does not bring back what waits on the disk";
      throw Object.assign(new Error(message), { code: "EIO", syscall: "madvise" });
    };
  }

  #follow(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    const end = (): void => void this.#underWay.delete(work);
    work.then(end, end);
    return work;
  }

  /** Lets go of the file, when nothing is being taken any more: nobody needs the numbers. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    for (const mapping of this.#mappings.splice(0)) mapping.leaveFile();
  }
}

/** @file The system's calls for memory: mapping files and addresses, moving pages and giving them back. */
import type * as Koffi from "koffi";
import { assertInternal } from "../../errors.ts";
import { forbidTransfer } from "./forbid-transfer.ts";
import { loadKoffi } from "../load-koffi.ts";

/** Readable and writable: a stray write would otherwise end the process. */
const PROT_READ_WRITE = 1 | 2;
/** Writes go to the file. */
export const MAP_SHARED = 1;
/** Writes go to pages of our own. */
export const MAP_PRIVATE = 2;
/** Maps no file. */
export const MAP_ANONYMOUS = 0x20;
/** Addresses that are only reserved do not count as memory. */
export const MAP_NORESERVE = 0x4000;
/** Gives pages back; when touched again they are zeros, or the contents of the file that is mapped shared. */
export const MADV_DONTNEED = 4;
/** Brings in all pages as writable; Linux 5.14 and later. */
export const MADV_POPULATE_WRITE = 23;
/** Maps at the given address, replacing what is there. */
const MAP_FIXED = 0x10;
/** MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP (Linux): moves to a given address; the old mapping stays, empty. */
const MOVE_FIXED_AND_LEAVE_EMPTY = 1 | 2 | 4;
/** MAP_FAILED, which is -1. */
const FAILED = 2n ** 64n - 1n;

type Advise = ((address: bigint, length: number, advice: number) => number) & {
  async(
    address: bigint,
    length: number,
    advice: number,
    end: (error: Error | null, status: number) => void,
  ): void;
};

interface Calls {
  readonly koffi: typeof Koffi;
  readonly map: (
    ...args: [
      address: bigint | null,
      length: number,
      protection: number,
      flags: number,
      file: number,
      offset: number,
    ]
  ) => bigint;
  readonly advise: Advise;
  /** Null where the system has no such call. */
  readonly move:
    | ((...args: [from: bigint, length: number, newLength: number, flags: number, to: bigint]) => bigint)
    | null;
  readonly collected: FinalizationRegistry<{ readonly address: bigint; readonly length: number }>;
}

/** A mapping. It ends when `buffer` is garbage-collected. */
export interface Mapping {
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
  /** Calls madvise on a range of bytes. @returns false when the system refuses */
  advise(start: number, length: number, advice: number): boolean;
  /** The same on another thread, for advice that waits for a disk. */
  adviseLater(start: number, length: number, advice: number): Promise<boolean>;
  /** Replaces the whole memory by an open file of the same size. @returns false when that fails; nothing may be mapped there then */
  mapFile(file: number): boolean;
  /** Replaces that file by zeros. @returns false when that fails; nothing may be mapped there then */
  leaveFile(): boolean;
  /**
   * Moves pages of another mapping that has no file here, replacing those that are here; where the system cannot, both places end
   * up empty. The pages' old place is empty afterwards.
   */
  moveHere(start: number, length: number, from: Mapping, fromStart: number): void;
}

/** The library and the registry must outlive every mapping. Undefined: not loaded yet; null: not available. */
let loaded: Calls | null | undefined;

/** What is mapped: an open file, or, with -1, none. */
interface Mapped {
  readonly flags: number;
  readonly file: number;
}

/**
 * Maps memory. `cut` chooses where the buffer begins and how long it is. Null where the system cannot (Windows, no build of
 * koffi, not a regular file). The memory cannot be transferred to another thread.
 */
export function mapMemory(
  length: number,
  { flags, file }: Mapped,
  cut: (address: bigint) => { start: number; sizeBytes: number },
): Mapping | null {
  const calls = (loaded ??= load());
  if (calls === null) return null;
  const address = calls.map(null, length, PROT_READ_WRITE, flags, file, 0);
  if (address === FAILED) return null;
  const { start, sizeBytes } = cut(address);
  const first = address + BigInt(start);
  const buffer = calls.koffi.view(first, sizeBytes);
  // A buffer that took over its memory would not keep this one from being collected, which unmaps it.
  forbidTransfer(buffer);
  calls.collected.register(buffer, { address, length }, buffer);
  const mapAgain = (at: bigint, length: number, flags: number, file: number): boolean => {
    if (calls.map(at, length, PROT_READ_WRITE, flags | MAP_FIXED, file, 0) === at) return true;
    // The old pages may be unmapped already, and the addresses may belong to someone else when the buffer is collected.
    calls.collected.unregister(buffer);
    return false;
  };
  return {
    address: first,
    buffer,
    advise: (start, length, advice) => calls.advise(first + BigInt(start), length, advice) === 0,
    adviseLater: (start, length, advice) =>
      new Promise((resolve, reject) => {
        calls.advise.async(first + BigInt(start), length, advice, (error, status) => {
          // Referring to the buffer keeps it, and so the mapping, alive until here.
          if (error) reject(error);
          else resolve(buffer.byteLength > 0 && status === 0);
        });
      }),
    mapFile: (own) => mapAgain(first, sizeBytes, MAP_SHARED, own),
    leaveFile: () => mapAgain(first, sizeBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1),
    moveHere: (start, length, from, fromStart) => {
      const to = first + BigInt(start);
      const own = from.address + BigInt(fromStart);
      if (calls.move?.(own, length, length, MOVE_FIXED_AND_LEAVE_EMPTY, to) === to) return;
      from.advise(fromStart, length, MADV_DONTNEED);
      // The call may have failed after unmapping the old pages.
      assertInternal(mapAgain(to, length, flags, file), "addresses of memory are lost");
    },
  };
}

function load(): Calls | null {
  if (process.platform === "win32") return null;
  let koffi;
  try {
    koffi = loadKoffi().koffi;
  } catch {
    return null;
  }
  const libc = koffi.load(null);
  const map = libc.func("mmap", "void *", ["void *", "size_t", "int", "int", "int", "int64"]);
  const unmap = libc.func("munmap", "int", ["void *", "size_t"]);
  const advise = libc.func("madvise", "int", ["void *", "size_t", "int"]);
  // Its last argument is variadic in C; Linux passes it like any other.
  const move = (): unknown => libc.func("mremap", "void *", ["void *", "size_t", "size_t", "int", "void *"]);
  return {
    koffi,
    map: map as Calls["map"],
    advise: advise as Calls["advise"],
    move: process.platform === "linux" ? (move() as Calls["move"]) : null,
    collected: new FinalizationRegistry(({ address, length }) => void unmap(address, length)),
  };
}

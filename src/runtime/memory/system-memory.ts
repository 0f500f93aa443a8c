/** @file The system's calls for memory: mapping, and what is done with pages. */
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
/** Of no file. */
export const MAP_ANONYMOUS = 0x20;
/** Addresses that are only reserved do not count as memory. */
export const MAP_NORESERVE = 0x4000;
/** Gives pages back; they come again as zeros, or as the file has them that is mapped shared. */
export const MADV_DONTNEED = 4;
/** Has all pages there to be written, of Linux 5.14 and later. */
export const MADV_POPULATE_WRITE = 23;
/** MAP_FIXED: at the given address, in the place of what is there. */
const MAP_FIXED = 0x10;
/** MREMAP_DONTUNMAP, of Linux: the old mapping stays, and is empty. */
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

/** A mapping. It ends when the buffer is collected. */
export interface Mapping {
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
  /** Tells the system what is done with bytes of it; false: it has no such advice, or cannot. */
  advise(start: number, length: number, advice: number): boolean;
  /** Does so on another thread: what must be read of a disk takes its time. */
  adviseLater(start: number, length: number, advice: number): Promise<boolean>;
  /** Puts the bytes of an open file, which are as many, in the place of all there is; false: the system cannot, and nothing is there. */
  mapFile(file: number): boolean;
  /** Lets go of that file: zeros take its place; false: the system cannot, and nothing is there. */
  leaveFile(): boolean;
  /**
   * Moves the pages of another mapping of no file here, in the place of those that are here, or leaves no pages where the
   * system cannot. Where they were is empty after.
   */
  moveHere(start: number, length: number, from: Mapping, fromStart: number): void;
}

/** The library and the registry must outlive every mapping. Undefined: not asked for yet. */
let loaded: Calls | null | undefined;

/** What is mapped: an open file, or, with -1, none. */
interface Mapped {
  readonly flags: number;
  readonly file: number;
}

/**
 * Maps memory. `cut`: where the buffer begins and how long it is. Null where the system cannot (Windows, no build of koffi,
 * something that is no file). The memory cannot be transferred to another thread.
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
  // A view in another buffer would not keep this one from being collected.
  forbidTransfer(buffer);
  calls.collected.register(buffer, { address, length }, buffer);
  const mapAgain = (at: bigint, length: number, flags: number, file: number): boolean => {
    if (calls.map(at, length, PROT_READ_WRITE, flags | MAP_FIXED, file, 0) === at) return true;
    // The old pages may be unmapped, and the addresses be somebody else's by the end.
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
          // Naming the buffer keeps it, and with it the mapping, until here.
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
      // The call may have failed after it had unmapped the old pages.
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
  // Its last argument is variadic in C, which Linux passes like any other.
  const move = (): unknown => libc.func("mremap", "void *", ["void *", "size_t", "size_t", "int", "void *"]);
  return {
    koffi,
    map: map as Calls["map"],
    advise: advise as Calls["advise"],
    move: process.platform === "linux" ? (move() as Calls["move"]) : null,
    collected: new FinalizationRegistry(({ address, length }) => void unmap(address, length)),
  };
}

/** @file The system's calls for memory: mapping, and what is done with pages. */
import type * as Koffi from "koffi";
import { assertInternal } from "../../errors.ts";
import { forbidTransfer } from "./forbid-transfer.ts";
import { loadKoffi } from "../load-koffi.ts";

/** Readable and writable: a stray write would otherwise end the process. */
const PROT_READ_WRITE = 1 | 2;
/** Writes go to pages of our own. */
export const MAP_PRIVATE = 2;
/** Gives pages back; they come again as zeros. */
export const MADV_DONTNEED = 4;
/** MAP_FIXED: at the given address, in the place of what is there. */
const MAP_FIXED = 0x10;
/** MREMAP_DONTUNMAP, of Linux: the old mapping stays, and is empty. */
const MOVE_FIXED_AND_LEAVE_EMPTY = 1 | 2 | 4;
/** MAP_FAILED, which is -1. */
const FAILED = 2n ** 64n - 1n;

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
  readonly advise: (address: bigint, length: number, advice: number) => number;
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
  /** Tells the system what is done with bytes of it. */
  advise(start: number, length: number, advice: number): void;
  /**
   * Moves the pages of another mapping of no file here, in the place of those that are here, or leaves no pages where the
   * system cannot. Where they were is empty after.
   */
  moveHere(start: number, length: number, from: Mapping, fromStart: number): void;
}

/** The library and the registry must outlive every mapping. Undefined: not asked for yet. */
let loaded: Calls | null | undefined;

/**
 * Maps memory: of a file, or, with file -1, of none. `cut`: where the buffer begins and how long it is. Null where the
 * system cannot (Windows, no build of koffi, something that is no file). The memory cannot be transferred to another thread.
 */
export function mapMemory(
  length: number,
  flags: number,
  file: number,
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
  calls.collected.register(buffer, { address, length });
  return {
    address: first,
    buffer,
    advise: (start, length, advice) => void calls.advise(first + BigInt(start), length, advice),
    moveHere: (start, length, from, fromStart) => {
      const to = first + BigInt(start);
      const own = from.address + BigInt(fromStart);
      if (calls.move?.(own, length, length, MOVE_FIXED_AND_LEAVE_EMPTY, to) === to) return;
      from.advise(fromStart, length, MADV_DONTNEED);
      // The call may have failed after it had unmapped the old pages.
      const again = calls.map(to, length, PROT_READ_WRITE, flags | MAP_FIXED, file, 0);
      assertInternal(again === to, "addresses of memory are lost");
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

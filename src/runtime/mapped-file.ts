/**
 * @file Maps a file into memory: pages are read when they are touched, shared by processes, and dropped when memory is short.
 *
 * The mapping ends when the last view of it is collected and not before, so nobody can hold one of memory that is gone. What
 * is written into it stays in the process. A file that another process cuts short takes this one with it (SIGBUS), as
 * it does every program that maps files; one that is replaced by another of its name does not.
 */
import { fstatSync } from "node:fs";
import type * as Koffi from "koffi";
import { forbidTransfer } from "./borrowed-memory.ts";
import { loadKoffi } from "./load-koffi.ts";

/** Readable and writable: a stray write would otherwise end the process. */
const PROT_READ_WRITE = 1 | 2;
/** Writes go to pages of our own. */
const MAP_PRIVATE = 2;
/** MAP_FAILED, which is -1. */
const FAILED = 2n ** 64n - 1n;

interface Memory {
  readonly koffi: typeof Koffi;
  readonly map: (
    address: null,
    length: number,
    protection: number,
    flags: number,
    file: number,
    offset: number,
  ) => bigint;
  readonly collected: FinalizationRegistry<{ readonly address: bigint; readonly length: number }>;
}

/** The library and the registry must outlive every mapping. */
let loaded: Memory | null = null;

/**
 * Maps the whole of an open file, which may be closed afterwards. Null where the system cannot (Windows, no build of koffi,
 * something that is no file); the caller then reads it. The memory cannot be transferred to another thread.
 */
export function mapFile(descriptor: number): ArrayBuffer | null {
  const memory = (loaded ??= load());
  if (memory === null) return null;
  const length = fstatSync(descriptor).size;
  if (length === 0) return new ArrayBuffer(0);
  const { koffi, map, collected } = memory;
  const address = map(null, length, PROT_READ_WRITE, MAP_PRIVATE, descriptor, 0);
  if (address === FAILED) return null;
  const buffer = koffi.view(address, length);
  // With its memory in another buffer, it would be collected while that is in use.
  forbidTransfer(buffer);
  collected.register(buffer, { address, length });
  return buffer;
}

function load(): Memory | null {
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
  return {
    koffi,
    map: map as Memory["map"],
    collected: new FinalizationRegistry(({ address, length }) => void unmap(address, length)),
  };
}

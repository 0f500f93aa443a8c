/**
 * @file Maps a file into memory: pages are read when they are touched, shared by processes, and dropped when memory is short.
 *
 * The mapping ends when the last view of it is collected and not before, so nobody can hold one of memory that is gone. What
 * is written into it stays in the process. A file that another process cuts short takes this one with it (SIGBUS), as
 * it does every program that maps files; one that is replaced by another of its name does not.
 */
import { fstatSync } from "node:fs";
import { MAP_PRIVATE, mapMemory } from "./system-memory.ts";

/**
 * Maps the whole of an open file, which may be closed afterwards. Null where the system cannot (Windows, no build of koffi,
 * something that is no file); the caller then reads it. The memory cannot be transferred to another thread.
 */
export function mapFile(descriptor: number): ArrayBuffer | null {
  const sizeBytes = fstatSync(descriptor).size;
  if (sizeBytes === 0) return new ArrayBuffer(0);
  const mapped = { flags: MAP_PRIVATE, file: descriptor };
  return mapMemory(sizeBytes, mapped, () => ({ start: 0, sizeBytes }))?.buffer ?? null;
}

/**
 * @file Maps a file into memory: pages are read when they are touched, shared by processes, and dropped when memory is short.
 *
 * The mapping ends only when its last view is garbage-collected, so no view can outlive its memory. Writes stay in the process.
 * If another process truncates the file, this one dies (SIGBUS), as any program that maps files; replacing the file by another of
 * the same name is safe.
 */
import { fstatSync } from "node:fs";
import { MAP_PRIVATE, mapMemory } from "./system-memory.ts";

/**
 * Maps the whole of an open file, which may be closed afterwards. Null where the system cannot (Windows, no build of koffi, not a
 * regular file); the caller then reads it. The memory cannot be transferred to another thread.
 */
export function mapFile(descriptor: number): ArrayBuffer | null {
  const sizeBytes = fstatSync(descriptor).size;
  if (sizeBytes === 0) return new ArrayBuffer(0);
  const mapped = { flags: MAP_PRIVATE, file: descriptor };
  return mapMemory(sizeBytes, mapped, () => ({ start: 0, sizeBytes }))?.buffer ?? null;
}

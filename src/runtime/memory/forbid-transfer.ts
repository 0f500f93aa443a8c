/** @file Forbids for good that a buffer's memory is transferred to another buffer or thread. */
import * as workers from "node:worker_threads";

/**
 * Forbids the transfer of a buffer. Node has already marked buffers of native modules, but `transfer` ignores the mark. They must
 * not be marked again: at its end Node fails on buffers that it cannot detach.
 */
export function forbidTransfer(buffer: ArrayBuffer): void {
  // `isMarkedAsUntransferable` is missing in Node 20, where the mark does not keep Node from detaching.
  if (!workers.isMarkedAsUntransferable?.(buffer)) return workers.markAsUntransferable(buffer);
  if (Object.hasOwn(buffer, "transfer")) return;
  const refuse = (): never => {
    throw new TypeError("Cannot transfer this ArrayBuffer: native code has its address");
  };
  for (const name of ["transfer", "transferToFixedLength"])
    Object.defineProperty(buffer, name, { value: refuse });
}

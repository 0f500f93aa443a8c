/** @file Forbids, for good, to hand a buffer's memory over to another buffer or thread. */
import * as workers from "node:worker_threads";

/**
 * Forbids to transfer a buffer. What a native module made is marked by Node already, lets `transfer` through, and must not
 * be marked again: Node, when it ends, fails on buffers that it cannot detach.
 */
export function forbidTransfer(buffer: ArrayBuffer): void {
  // Not there in Node 20, where the mark does not keep Node from detaching.
  if (!workers.isMarkedAsUntransferable?.(buffer)) return workers.markAsUntransferable(buffer);
  if (Object.hasOwn(buffer, "transfer")) return;
  const refuse = (): never => {
    throw new TypeError("Cannot transfer this ArrayBuffer: native code has its address");
  };
  for (const name of ["transfer", "transferToFixedLength"])
    Object.defineProperty(buffer, name, { value: refuse });
}

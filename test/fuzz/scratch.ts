/** @file A folder for cases that must lie on a disk, removed when the process ends: fuzzing also runs outside of tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a folder. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "graft-fuzz-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

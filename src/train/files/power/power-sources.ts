/** @file The list of sources from which the state of a device is read. */
import { statSync } from "node:fs";
import type { PowerSource } from "../../power/reading.ts";
import { commandPower } from "./command-power.ts";
import { filePower } from "./file-power.ts";
import { linuxPower } from "./linux-power.ts";

/** A kind of source; the first kind that accepts the value of `--power` opens it. */
interface PowerSourceKind {
  readonly takes: (text: string) => boolean;
  readonly open: (text: string) => PowerSource;
}

const POWER_SOURCES: readonly PowerSourceKind[] = [
  { takes: (text) => text === "auto", open: () => linuxPower() },
  { takes: isData, open: filePower },
  { takes: () => true, open: (text) => commandPower(text) },
];

/** Opens the source that `--power` names. */
export function openPowerSource(text: string): PowerSource {
  return POWER_SOURCES.find(({ takes }) => takes(text))!.open(text);
}

/** Whether a text names a file to read, not a command to run. */
function isData(text: string): boolean {
  if (text.endsWith(".json")) return true;
  try {
    const stats = statSync(text);
    return stats.isFile() && (stats.mode & 0o111) === 0;
  } catch {
    // A command with arguments: not a path, or too long for one.
    return false;
  }
}

/** @file The state of a device from a file that another program keeps: `{"battery": 55, "temperature": 38.5}`. */
import { disk } from "../../../format/files/disk/calls.ts";
import { describeFileProblem, refuseEndless } from "../../../messages/system-error.ts";
import { PowerProblem, type PowerSource, parseReading } from "../../power/reading.ts";

const MAX_BYTES = 1 << 16;

/** Reads a file anew each time. */
export function filePower(path: string): PowerSource {
  return {
    name: path,
    read: async () => parseReading(await readSmall(path)),
    readEnergy: async () => [],
  };
}

async function readSmall(path: string): Promise<string> {
  try {
    const stats = await disk().stat(path);
    refuseEndless(stats);
    if (stats.size > MAX_BYTES) throw new Error(`it has ${stats.size} bytes, expected at most ${MAX_BYTES}`);
    return await disk().readFile(path, "utf8");
  } catch (error) {
    throw new PowerProblem(`cannot be read (${describeFileProblem(error)})`);
  }
}

/** @file The state of a device from a file that another program updates: `{"battery": 55, "temperature": 38.5}`. */
import { setTimeout as sleep } from "node:timers/promises";
import { disk } from "../../../format/files/disk/calls.ts";
import { describeFileProblem } from "../../../messages/system-error.ts";
import { PowerProblem, type PowerSource, parseReading, readJson } from "../../power/reading.ts";

const MAX_BYTES = 1 << 16;
/** How often a file with invalid JSON is read again, and how long to wait before each time. */
const [NUM_LOOKS, LOOK_EVERY_MS] = [20, 100];

/** Reads a file for each reading; `wait` waits some milliseconds before an incomplete file is read again. */
export function filePower(path: string, wait: (ms: number) => Promise<unknown> = sleep): PowerSource {
  // False after waiting in vain: a file that stayed invalid is not waited for again.
  let maySoonBeWhole = true;
  return {
    name: path,
    async read() {
      let text = await readSmall(path);
      // A file may be empty or incomplete: a shell empties it before the program that fills it starts (`termux-battery-status >
      // power.json`), and the program may write it in parts.
      const numLooks = maySoonBeWhole ? NUM_LOOKS : 0;
      for (let look = 0; look < numLooks && readJson(text) === undefined; look++) {
        await wait(LOOK_EVERY_MS);
        text = await readSmall(path);
      }
      maySoonBeWhole = readJson(text) !== undefined;
      return parseReading(text);
    },
    readEnergy: async () => [],
  };
}

async function readSmall(path: string): Promise<string> {
  try {
    const stats = await disk().stat(path);
    // Reading a pipe would block until somebody writes.
    if (stats.isFIFO()) throw new Error("it is a pipe");
    const { size } = stats;
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, expected at most ${MAX_BYTES}`);
    return await disk().readFile(path, "utf8");
  } catch (error) {
    throw new PowerProblem(`cannot be read (${describeFileProblem(error)})`);
  }
}

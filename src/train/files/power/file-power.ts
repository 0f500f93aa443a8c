/** @file The state of a device from a file that another program keeps: `{"battery": 55, "temperature": 38.5}`. */
import { setTimeout as sleep } from "node:timers/promises";
import { disk } from "../../../format/files/disk/calls.ts";
import { describeFileProblem } from "../../../messages/system-error.ts";
import { PowerProblem, type PowerSource, parseReading, readJson } from "../../power/reading.ts";

const MAX_BYTES = 1 << 16;
/** How often a file that is no JSON is looked at again, and after how long each time. */
const [NUM_LOOKS, LOOK_EVERY_MS] = [20, 100];

/** Reads a file anew each time; `wait` passes the milliseconds until another look at one that is not whole. */
export function filePower(path: string, wait: (ms: number) => Promise<unknown> = sleep): PowerSource {
  // What nobody mended while it was waited for stays as it is.
  let maySoonBeWhole = true;
  return {
    name: path,
    async read() {
      let text = await readSmall(path);
      // A shell empties a file before the program that is to fill it has begun (`termux-battery-status > power.json`), and what
      // is written in parts is read in parts.
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
    // It would be waited for until somebody writes.
    if (stats.isFIFO()) throw new Error("it is a pipe");
    const { size } = stats;
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, expected at most ${MAX_BYTES}`);
    return await disk().readFile(path, "utf8");
  } catch (error) {
    throw new PowerProblem(`cannot be read (${describeFileProblem(error)})`);
  }
}

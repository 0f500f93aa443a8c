/**
 * @file Runs cases of a format, each made by the seed and its number alone, so that a failure can be repeated; a case ends
 * well, or in a GraftError, soon.
 */
import { GraftError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import type { FuzzFormat, FuzzInput } from "./format.ts";
import { processorMs } from "../../src/train/power/processor-ms.ts";
import { startWatchdog } from "./watchdog.ts";

/** What went wrong in one case. */
interface Failure {
  readonly format: string;
  readonly seed: number;
  readonly index: number;
  readonly found: string;
  readonly input: string;
}

/** Longest that a case may take, in processor time: several files of a busy machine may be read meanwhile. */
const MAX_CASE_MS = 5000;
/** Characters of an input that a failure shows. */
const SHOWN = 600;

/** Which cases to run: until there are so many, or `isOver` says so. */
interface RunOptions {
  readonly seed: number;
  readonly from: number;
  readonly numCases: number;
  readonly isOver?: () => boolean;
}

function show(input: FuzzInput): string {
  const text =
    typeof input === "string"
      ? JSON.stringify(input)
      : `${input.length} bytes, base64 ${Buffer.from(input).toString("base64")}`;
  return text.length > SHOWN ? `${text.slice(0, SHOWN)} … (${text.length})` : text;
}

/** Runs cases; gives what failed, and how many ran. */
export async function runFormat(
  format: FuzzFormat,
  { seed, from, numCases, isOver = () => false }: RunOptions,
): Promise<{ failures: Failure[]; numRun: number; numRefused: number }> {
  const target = await format.prepare();
  const failures: Failure[] = [];
  let [numRun, numRefused] = [0, 0];
  using watchdog = startWatchdog();
  for (let index = from; index < from + numCases && !isOver(); index++) {
    const input = target.make(new Random(seed, index));
    const started = processorMs();
    watchdog.begin(`${format.name}: case ${index} of seed ${seed} does not end`);
    let found: string | null = null;
    try {
      await target.read(input);
    } catch (error) {
      if (error instanceof GraftError) numRefused++;
      else found = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    watchdog.end();
    const took = processorMs() - started;
    if (found === null && took > MAX_CASE_MS) found = `took ${Math.round(took)} ms`;
    if (found !== null) failures.push({ format: format.name, seed, index, found, input: show(input) });
    numRun++;
  }
  return { failures, numRun, numRefused };
}

/** Says how a failure is repeated, and what it is. */
export function describeFailure({ format, seed, index, found, input }: Failure): string {
  return `${format}, seed ${seed}, case ${index}\nrepeat: npm run fuzz -- --format ${format} --seed ${seed} --case ${index}\n${found}\ninput: ${input}\n`;
}

/**
 * @file Every family with every method in every form: `npm run test:matrix`. Longer than what `npm run check` may take, so that
 * it goes on where it stopped: what passed is a line of a file, and is not run again until `--anew` is given.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { describeCell } from "./cell.ts";
import { cells, nameOf } from "./cells.ts";
import { jsonLines } from "../files/read-json.ts";

interface Result {
  readonly cell: string;
  readonly failed: readonly string[];
  readonly seconds: number;
}

const RESULTS = fileURLToPath(new URL("../../node_modules/.cache/graft/matrix.jsonl", import.meta.url));
/** A prime, so that it divides no number of cells. */
const ORDER_STEP = 271;

const { values } = parseArgs({
  options: {
    /** The first of four parts: `1/4`. */
    shard: { type: "string", default: "1/1" },
    results: { type: "string", default: RESULTS },
    anew: { type: "boolean", default: false },
  },
});

/** What was written before, the last result of each cell. */
function readResults(): Map<string, Result> {
  const results = jsonLines<Result>(readFileSync(values.results, { encoding: "utf8", flag: "a+" }));
  return new Map(results.map((result) => [result.cell, result]));
}

const [part = 0, numParts = 0] = values.shard.split("/").map(Number);
if (!(part >= 1 && part <= numParts)) {
  throw new RangeError(`Cannot run shard "${values.shard}": expected I/N, such as 1/4`);
}
mkdirSync(dirname(values.results), { recursive: true });
if (values.anew) rmSync(values.results, { force: true });
const before = readResults();
// In large steps through the list, so that a run that is cut short has seen something of everything; the forms of a
// family with a method after each other, for they run the same programs.
const listed = Object.values(Object.groupBy(cells("all"), ({ family, method }) => `${method} on ${family}`));
const spread = listed.map((_, i) => listed[(i * ORDER_STEP) % listed.length]!);
if (new Set(spread).size < listed.length) throw new RangeError(`ORDER_STEP ${ORDER_STEP} leaves cells out`);
const all = spread.filter((_, i) => i % numParts === part - 1).flat();
const open = all.filter((cell) => before.get(nameOf(cell))?.failed.length !== 0);
process.stderr.write(
  `${all.length - open.length} of ${all.length} cells have passed, ${open.length} to run\n`,
);

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
let [numDone, numFailed, began] = [0, 0, performance.now()];
const start = began;
for (const cell of open) {
  describeCell(engine, folder, cell, (failed) => {
    const now = performance.now();
    const result: Result = { cell: nameOf(cell), failed, seconds: (now - began) / 1000 };
    began = now;
    appendFileSync(values.results, `${JSON.stringify(result)}\n`);
    numDone++;
    if (failed.length > 0) numFailed++;
    const minutesLeft = (((now - start) / numDone) * (open.length - numDone)) / 60_000;
    process.stderr.write(
      `${numDone}/${open.length} cells, ${numFailed} failed, ${minutesLeft.toFixed(0)} min left: ${result.cell}\n`,
    );
  });
}

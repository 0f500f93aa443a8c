/**
 * @file Reads damaged files of all formats for a given time: `npm run fuzz -- --minutes 60 [--seed N] [--format NAME]`;
 * `--case I` repeats one case. Prints failures; if there are any, ends with status 1.
 */
import { parseArgs } from "node:util";
import { FUZZ_FORMATS } from "../test/fuzz/formats.ts";
import { describeFailure, runFormat } from "../test/fuzz/run-format.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    seed: { type: "string" },
    format: { type: "string" },
    case: { type: "string" },
  },
});
const formats = FUZZ_FORMATS.filter(({ name }) => name === (values.format ?? name));
if (formats.length === 0) {
  console.error(
    `no format "${values.format}": choose one of ${FUZZ_FORMATS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

/** Reads the number of a flag; ends with status 2 when it is not a number. */
function numberOf(flag: string, text: string): number {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(number) || number < 0) {
    console.error(`--${flag} is "${text}", expected a number from 0 on`);
    process.exit(2);
  }
  return number;
}

const seed = values.seed === undefined ? Date.now() % 1_000_000 : numberOf("seed", values.seed);
const endMs = performance.now() + numberOf("minutes", values.minutes) * 60_000;
/** Cases of a format that are run before the next format's. */
const ROUND = 2000;
let numFailures = 0;

async function run(from: number, numCases: number, isOver: () => boolean): Promise<void> {
  for (const format of formats) {
    const { failures, numRun, numRefused } = await runFormat(format, { seed, from, numCases, isOver });
    for (const failure of failures) console.log(describeFailure(failure));
    numFailures += failures.length;
    if (numRun > 0)
      console.log(
        `${format.name}: seed ${seed}, ${numRun} cases from ${from}, ${numRefused} refused, ${failures.length} failed`,
      );
  }
}

if (values.case === undefined) {
  for (let from = 0; performance.now() < endMs; from += ROUND)
    await run(from, ROUND, () => performance.now() >= endMs);
} else await run(numberOf("case", values.case), 1, () => false);
process.exitCode = numFailures > 0 ? 1 : 0;

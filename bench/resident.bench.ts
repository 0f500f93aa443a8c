/** @file What does it cost to keep most of the memory of full fine-tuning on disk? */
import { join } from "node:path";

import { defineBenchmark, type Outcome } from "./bench.ts";
import { flagWords } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, showPeak } from "./harness/memory.ts";
import { MODEL } from "./harness/peers.ts";
import {
  largestDifference,
  ratioOf,
  rounded,
  roundedSpread,
  showRatio,
  spread,
  type Spread,
} from "./harness/statistics.ts";
import {
  eventsOf,
  runGraft,
  stepSecondsOf,
  summarizeGraft,
  type TrainingRun,
} from "./training/training-sides.ts";

const SEED = 1;
/** The side that the others are compared with. */
const WHOLE = "all in memory";
/** Parts of a plan that `--resident-memory` can move to disk. */
const HELD = ["trained", "gradients", "optimizer"];

export const benchmark = defineBenchmark({
  question: "What does it cost to keep a part of what full fine-tuning holds on the disk?",
  flags: {
    model: MODEL,
    shares: { value: "0.4,0.1", help: "shares of values, gradients and optimizer that stay, with commas" },
    batch: { value: 1, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 8, help: "steps of a run; the first two are not timed" },
    rounds: { value: 3, help: "runs of each side, in turn" },
  },
  async run(values, context) {
    const { scratch } = context;
    const data = join(scratch, "text.txt");
    await writeEnoughText(data, values.batch * values["max-length"] * values.steps, SEED);
    const task = flagWords({
      model: values.model,
      data,
      method: "full",
      "batch-size": values.batch,
      "max-length": values["max-length"],
      "gradient-checkpointing": "on",
    });
    const held = await readHeldBytes(task);
    const run = flagWords({ steps: values.steps, output: join(scratch, "run"), overwrite: true });
    const train = async (residentBytes?: number): Promise<TrainingRun> =>
      summarizeGraft(
        await runGraft(["train", ...task, ...run, ...flagWords({ "resident-memory": residentBytes })]),
      );
    const shares = values.shares.split(",").map(Number);
    const parts = shares.map((share) => [nameOf(share), () => train(Math.ceil(share * held))] as const);
    const rounds = await interleave(
      values.rounds,
      { [WHOLE]: () => train(), ...Object.fromEntries(parts) },
      context,
    );
    const whole = rounds[WHOLE] ?? [];
    const rows = Object.entries(rounds).map(([name, runs]) => rowOf(name, runs, whole));
    return { parameters: { ...values, held_mb: Math.round(held / 1e6) }, ...report(rows) };
  },
});

/** Bytes of these parts in full fine-tuning, from its plan. */
async function readHeldBytes(task: readonly string[]): Promise<number> {
  const [plan] = eventsOf(await runGraft(["plan", ...task]), "plan");
  const bytes = plan?.value["bytes"] as Readonly<Record<string, number>> | undefined;
  if (bytes === undefined) throw new Error("Cannot read the plan: no event of it, expected one");
  return HELD.reduce((sum, part) => sum + bytes[part]!, 0);
}

function nameOf(share: number): string {
  return `${Math.round(100 * share)} % in memory`;
}

/** What a side costs. */
interface Row {
  readonly name: string;
  readonly seconds: Spread;
  /** Relative to the time with all in memory, round by round. */
  readonly ratio: Spread;
  readonly peak: number | null;
  /** Largest difference of a loss from that with all in memory; 0 if all are equal. */
  readonly difference: number;
}

function rowOf(name: string, runs: readonly TrainingRun[], whole: readonly TrainingRun[]): Row {
  const seconds = stepSecondsOf(runs);
  const differences = runs.map(({ losses }, round) => largestDifference(losses, whole[round]?.losses ?? []));
  return {
    name,
    seconds: spread(seconds),
    ratio: ratioOf(seconds, stepSecondsOf(whole)),
    peak: largestPeak(runs),
    difference: Math.max(...differences),
  };
}

function report(rows: readonly Row[]): Outcome {
  return {
    table: {
      head: ["parameters", "s/step", "of all in memory", "peak memory", "largest difference of a loss"],
      rows: rows.map(({ name, seconds, ratio, peak, difference }) => [
        name,
        seconds.median.toFixed(2),
        showRatio(ratio),
        showPeak(peak),
        String(difference),
      ]),
    },
    results: Object.fromEntries(
      rows.map(({ name, seconds, ratio, peak, difference }) => [
        name,
        {
          step_seconds: rounded(seconds.median, 3),
          ratio: roundedSpread(ratio),
          peak_mb: peak,
          loss_difference: difference,
        },
      ]),
    ),
  };
}

/** @file Compares the methods on one model and data set: numbers trained, time, memory, and losses. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { findNamed } from "../src/messages/find-named.ts";
import { defineBenchmark, type Json } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { interleave } from "./harness/interleave.ts";
import { ROOT } from "./harness/machine.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { TABLES, VARIANTS, type Variant } from "./training/method-variants.ts";
import { MODEL, asFolder, findModel } from "./harness/peers.ts";
import { median, ratioOf, roundedSpread, showRatio, spread } from "./harness/statistics.ts";
import {
  eventsOf,
  heldOutLosses,
  type HeldOutLosses,
  runGraft,
  stepSecondsOf,
  summarizeGraft,
  type TrainingRun,
} from "./training/training-sides.ts";

const EXAMPLES = join("examples", "quickstart");

export const benchmark = defineBenchmark({
  question:
    "What does each method train, how fast, in how much memory, and what does it learn in equal steps?",
  flags: {
    model: MODEL,
    methods: {
      value: "all",
      help: `a table, ${Object.keys(TABLES).join(" or ")}, or names with commas: ${VARIANTS.map((v) => v.name).join(",")}`,
    },
    data: { value: join(EXAMPLES, "train.jsonl"), help: "training data, .jsonl or .txt" },
    "held-out": {
      value: join(EXAMPLES, "held-out.jsonl"),
      help: "data that is not trained on; of a .txt file its last part, of this many bytes",
    },
    batch: { value: 8, help: "examples of a step" },
    "max-length": { value: 256, help: "tokens that an example may have" },
    steps: { value: 24, help: "steps of a run; the first two are not timed" },
    rounds: { value: 1, help: "runs of each method, by the seeds 0, 1, …" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
  },
  async run(values, context) {
    const { scratch } = context;
    // In floats, so that PEQA can quantize it to any number of bits.
    const model = await asFolder(await findModel(values.model, context), context);
    const { data, heldOut } = await splitData(values.data, values["held-out"], scratch);
    const { batch, "max-length": maxLength, steps } = values;
    const flags = {
      model,
      data,
      "eval-data": heldOut,
      "batch-size": batch,
      "max-length": maxLength,
      steps,
      "eval-every": steps,
      output: join(scratch, "run"),
      overwrite: true,
      schedule: "cosine",
      "warmup-steps": Math.ceil(steps / 20),
    } as const;
    const shared = [...flagWords(flags), ...wordsOf(values["graft-flags"])];
    const variants = chosen(values.methods);
    const sides = Object.fromEntries(
      variants.map(({ name, flags }) => [
        name,
        (round: number) => trainOnce([...shared, ...flags, "--seed", String(round)]),
      ]),
    );
    const rounds = await interleave(values.rounds, sides, context);
    const runsOf = ({ name }: Variant): readonly MethodRun[] => rounds[name] ?? [];
    const first = runsOf(variants[0]!);
    return {
      table: {
        head: [
          "method",
          "trained",
          "s/step",
          `time / ${variants[0]?.name}'s`,
          "peak memory",
          "before",
          "after",
        ],
        rows: variants.map((variant) => rowOf(variant.name, runsOf(variant), first)),
      },
      results: Object.fromEntries(variants.map((v) => [v.name, resultsOf(runsOf(v), first)])),
    };
  },
});

/** A run with its number of trained parameters and held-out losses. */
interface MethodRun extends TrainingRun, HeldOutLosses {
  readonly numTrained: number;
}

async function trainOnce(flags: readonly string[]): Promise<MethodRun> {
  const child = await runGraft(["train", ...flags]);
  return {
    ...summarizeGraft(child),
    numTrained: Number(eventsOf(child, "done")[0]?.value["trainable_parameters"]),
    ...heldOutLosses(child),
  };
}

/** Paths of both parts; defaults are files of the repository. */
async function splitData(
  data: string,
  heldOut: string,
  scratch: string,
): Promise<{ data: string; heldOut: string }> {
  const bytes = Number(heldOut);
  const inRoot = (path: string): string => (path.startsWith(EXAMPLES) ? join(ROOT, path) : path);
  if (!Number.isInteger(bytes)) return { data: inRoot(data), heldOut: inRoot(heldOut) };
  const text = await readFile(data, "utf8");
  const parts = { data: join(scratch, "train.txt"), heldOut: join(scratch, "held-out.txt") };
  await writeFile(parts.data, text.slice(0, -bytes));
  await writeFile(parts.heldOut, text.slice(-bytes));
  return parts;
}

function chosen(names: string): readonly Variant[] {
  return TABLES[names] ?? names.split(",").map((name) => findNamed("method", VARIANTS, name));
}

function rowOf(name: string, runs: readonly MethodRun[], first: readonly MethodRun[]): string[] {
  const run = runs[0];
  return [
    name,
    (run?.numTrained ?? 0).toLocaleString("en"),
    median(stepSecondsOf(runs)).toFixed(3),
    showRatio(ratioOf(stepSecondsOf(runs), stepSecondsOf(first))),
    showPeak(largestPeak(runs)),
    (run?.before ?? Number.NaN).toFixed(4),
    showLosses(runs.map(({ after }) => after)),
  ];
}

/** The mean over seeds, and the range if there are several. */
function showLosses(losses: readonly number[]): string {
  const mean = (losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toFixed(4);
  if (losses.length < 2) return mean;
  const { lowest, highest } = spread(losses);
  return `${mean} (${lowest.toFixed(4)}–${highest.toFixed(4)})`;
}

function resultsOf(runs: readonly MethodRun[], first: readonly MethodRun[]): Json {
  const run = runs[0];
  return {
    trained: run?.numTrained ?? 0,
    step_seconds: stepSecondsOf(runs),
    time_ratio: roundedSpread(ratioOf(stepSecondsOf(runs), stepSecondsOf(first))),
    peak_mb: largestPeak(runs),
    memory_ratio: peakRatio(largestPeak(runs), largestPeak(first)),
    held_out_before: run?.before ?? null,
    held_out_after: runs.map(({ after }) => after),
  };
}

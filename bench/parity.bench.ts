/** @file Do cheaper ways of training end at the held-out loss of the exact one, over data sets and seeds? */
import { existsSync } from "node:fs";
import { appendFile, readFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { UsageError } from "../src/errors.ts";
import { findNamed } from "../src/messages/find-named.ts";
import { defineBenchmark, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { ROOT } from "./harness/machine.ts";
import { PARITY, type Variant } from "./training/method-variants.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { type Interval, intervalOf, rounded } from "./harness/statistics.ts";
import { type HeldOutLosses, heldOutLosses, runGraft } from "./training/training-sides.ts";

const EXAMPLES = join(ROOT, "examples", "quickstart");

export const benchmark = defineBenchmark({
  question:
    "Do 8-bit products and dropped branches end at the held-out loss of float32 with its whole backward pass?",
  ignoresLoad: true,
  flags: {
    model: MODEL,
    data: {
      value: `${join(EXAMPLES, "train.jsonl")}=${join(EXAMPLES, "held-out.jsonl")}`,
      help: "data sets with commas, each TRAINING=HELD-OUT",
    },
    variants: {
      value: PARITY.map(({ name }) => name).join(","),
      help: "with commas; the others are held against the first",
    },
    seeds: {
      value: 5,
      help: "seeds of each: start of the adapter, order of the examples, draws of branches",
    },
    steps: { value: 20, help: "steps of a run" },
    batch: { value: 1, help: "examples of a micro-batch" },
    accumulation: { value: 8, help: "micro-batches of a step: DropBP leaves out others in each" },
    "max-length": { value: 64, help: "tokens that an example may have" },
    "learning-rate": { value: 2e-3, help: "peak of the cosine schedule, the same of all variants" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
    threads: { value: 1, help: "threads of a run" },
    parallel: { value: 1, help: "runs at a time: losses do not depend on it" },
    runs: { value: "", help: "file that finished runs are added to; what it has is not run again" },
  },
  async run(values, context) {
    const { scratch } = context;
    const variants = values.variants.split(",").map((name) => findNamed("variant", PARITY, name));
    const sets = values.data.split(",").map(readDataSet);
    const model = await findModel(values.model, context);
    const { steps, batch, accumulation, threads } = values;
    const flags = {
      model,
      schedule: "cosine",
      "batch-size": batch,
      steps,
      "max-length": values["max-length"],
      "learning-rate": values["learning-rate"],
      threads,
      "eval-every": steps,
      "gradient-accumulation-steps": accumulation,
    };
    const shared = [...flagWords(flags), ...wordsOf(values["graft-flags"])];
    // Seed by seed, so that results can be compared if the benchmark is stopped early.
    const seeds = Array.from({ length: values.seeds }, (_, seed) => seed);
    const jobs = seeds.flatMap((seed) =>
      sets.flatMap(({ name: set, flags }) =>
        variants.map((variant): Job => {
          const all = [...shared, ...variant.flags, ...flags, "--seed", String(seed)];
          return { set, seed, variant: variant.name, flags: all };
        }),
      ),
    );
    const runs = await readRuns(values.runs);
    const waiting = jobs.filter(({ flags }) => !runs.has(flags.join(" ")));
    const work = async (worker: number): Promise<void> => {
      for (let job = waiting.shift(); job; job = waiting.shift()) {
        const key = job.flags.join(" ");
        context.say(`${job.set}, seed ${job.seed}: ${job.variant}`);
        const own = ["--output", join(scratch, String(worker)), "--overwrite"];
        const losses = heldOutLosses(await runGraft(["train", ...job.flags, ...own]));
        runs.set(key, losses);
        if (values.runs !== "") await appendFile(values.runs, `${JSON.stringify([key, losses])}\n`);
      }
    };
    await Promise.all(Array.from({ length: values.parallel }, (_, worker) => work(worker)));
    const done = jobs.map((job) => ({ ...job, ...runs.get(job.flags.join(" "))! }));
    const data = sets.map(({ name }) => name);
    const { runs: _runs, parallel: _parallel, ...parameters } = values;
    return { parameters: { ...parameters, data }, ...compare(done, data, variants) };
  },
});

interface Job {
  readonly set: string;
  readonly seed: number;
  readonly variant: string;
  readonly flags: readonly string[];
}

function readDataSet(text: string): { readonly name: string; readonly flags: readonly string[] } {
  const [train, heldOut, ...rest] = text.split("=");
  if (!train || !heldOut || rest.length > 0) {
    throw new UsageError("usage/flag", `Cannot read data "${text}", expected TRAINING=HELD-OUT`, {
      hint: "Give two files with an equals sign between them.",
    });
  }
  return { name: basename(train), flags: flagWords({ data: train, "eval-data": heldOut }) };
}

async function readRuns(file: string): Promise<Map<string, HeldOutLosses>> {
  if (file === "" || !existsSync(file)) return new Map();
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => JSON.parse(line) as [string, HeldOutLosses]));
}

function compare(
  runs: readonly (Job & HeldOutLosses)[],
  sets: readonly string[],
  variants: readonly Variant[],
): Outcome {
  const of = (set: string, variant: string): readonly HeldOutLosses[] =>
    runs.filter((run) => run.set === set && run.variant === variant);
  const cells = variants.flatMap(({ name }) =>
    sets.map((set) => {
      const [own, first] = [of(set, name), of(set, variants[0]!.name)];
      const percent = own.map(({ after }, i) => 100 * (after / first[i]!.after - 1));
      return { name, set, own, percent, interval: intervalOf(percent) };
    }),
  );
  return {
    table: {
      head: ["variant", "data", "before", "after", "against the first", "95 % interval"],
      rows: cells.map(({ name, set, own, interval }) => [
        name,
        set,
        intervalOf(own.map(({ before }) => before)).mean.toFixed(4),
        intervalOf(own.map(({ after }) => after)).mean.toFixed(4),
        `${signed(interval.mean)} %`,
        `${signed(interval.low)} to ${signed(interval.high)} %`,
      ]),
    },
    results: Object.fromEntries(
      variants.map(({ name }) => [
        name,
        Object.fromEntries(
          cells
            .filter((cell) => cell.name === name)
            .map(({ set, own, percent, interval }) => [
              set,
              {
                before: own.map(({ before }) => before),
                after: own.map(({ after }) => after),
                difference_percent: percent.map((each) => rounded(each, 4)),
                interval_percent: roundedInterval(interval),
              },
            ]),
        ),
      ]),
    ),
  };
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

function roundedInterval({ mean, low, high }: Interval): Record<keyof Interval, number> {
  return { mean: rounded(mean, 4), low: rounded(low, 4), high: rounded(high, 4) };
}

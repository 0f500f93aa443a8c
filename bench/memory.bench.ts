/** @file How much memory does a step of each method need on a base in floats and in few bits, compared with PEFT at equal flags? */
import { join } from "node:path";

import { findNamed } from "../src/messages/find-named.ts";
import { defineBenchmark, type Json, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { MODEL, asFolder, findModel, pythonVersions } from "./harness/peers.ts";
import { median } from "./harness/statistics.ts";
import {
  drawStart,
  runGraft,
  stepSecondsOf,
  summarizeGraft,
  trainWithPeft,
  type TrainingRun,
} from "./training/training-sides.ts";

const SEED = 1;

/** A form of the base: whether graft reads the folder of floats or the given file, and its flags. */
interface Base {
  readonly name: string;
  readonly reads: "floats" | "file";
  readonly flags: string;
}

const BASES: readonly Base[] = [
  { name: "floats", reads: "floats", flags: "" },
  ...["q8_0", "q4_0", "nf4"].map((kind): Base => ({ name: kind, reads: "floats", flags: `--base ${kind}` })),
  { name: "file", reads: "file", flags: "" },
];

/** Methods with their own flags; `bases`: those on which they make sense. */
const METHODS: readonly {
  readonly name: string;
  readonly flags: string;
  readonly bases: readonly string[];
}[] = [
  ...["lora", "dora", "snell"].map((name) => ({ name, flags: "--rank 8", bases: BASES.map((b) => b.name) })),
  ...["vera", "ia3", "road", "bitfit"].map((name) => ({ name, flags: "", bases: BASES.map((b) => b.name) })),
  { name: "peqa", flags: "--bits 4 --group-size 32", bases: ["floats"] },
  { name: "peqa", flags: "", bases: ["file"] },
  { name: "full", flags: "", bases: ["floats", "file"] },
];

export const benchmark = defineBenchmark({
  question:
    "How much memory does a step of each method need on a base in floats and in few bits, with equal flags, against PEFT?",
  flags: {
    model: MODEL,
    methods: { value: "all", help: "names with commas" },
    bases: { value: "floats,nf4,file", help: `of ${BASES.map(({ name }) => name).join(",")}` },
    batch: { value: 4, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 3, help: "steps of a run; the first two are not timed" },
    rounds: { value: 1, help: "runs of each side" },
    checkpointing: {
      value: "on",
      help: "gradient checkpointing of graft's runs: on or off; PEFT runs both ways",
    },
    peft: { value: "on", help: "off: PEFT is left out" },
  },
  async run(values, context) {
    const { scratch } = context;
    const { batch: batchSize, "max-length": maxLength, steps } = values;
    const file = await findModel(values.model, context);
    const folder = await asFolder(file, context);
    const data = join(scratch, "text.txt");
    await writeEnoughText(data, batchSize * maxLength * steps, SEED);
    const common = `--batch-size ${batchSize} --max-length ${maxLength} --steps ${steps} --gradient-checkpointing ${values.checkpointing}`;
    const train = async (base: Base, method: string, flags: string): Promise<TrainingRun> => {
      const model = base.reads === "file" ? file : folder;
      const places = flagWords({ model, data, output: join(scratch, "run"), overwrite: true, method });
      const words = [common, base.flags, flags].flatMap(wordsOf);
      return summarizeGraft(await runGraft(["train", ...places, ...words]));
    };
    const sides: Record<string, () => Promise<TrainingRun>> = {};
    if (values.peft !== "off") {
      const adapter = await drawStart(folder, 8, SEED, join(scratch, "start"));
      const task = { model: folder, data, adapter, batchSize, maxLength, learningRate: 2e-4, threads: 0 };
      const flags = flagWords({ steps });
      sides["peft lora"] = () => trainWithPeft("peft_step.py", task, flags);
      sides["peft lora, checkpointing"] = () =>
        trainWithPeft("peft_step.py", task, [...flags, "--checkpointing"]);
    }
    const bases = values.bases.split(",").map((name) => findNamed("base", BASES, name));
    const names = values.methods === "all" ? METHODS.map(({ name }) => name) : values.methods.split(",");
    const methods = new Set(names.map((name) => findNamed("method", METHODS, name).name));
    for (const base of BASES.filter((each) => bases.includes(each))) {
      for (const { name, flags, bases: fitting } of METHODS) {
        if (!fitting.includes(base.name) || !methods.has(name)) continue;
        sides[`${name} on ${base.name}`] = () => train(base, name, flags);
      }
    }
    const rounds = await interleave(values.rounds, sides, context);
    const reference = values.peft === "off" ? null : largestPeak(rounds["peft lora"] ?? []);
    const rows = Object.keys(sides).map((name): Row => {
      const runs = rounds[name] ?? [];
      const peak = largestPeak(runs);
      const seconds = median(stepSecondsOf(runs));
      return { name, peak, ratio: peakRatio(peak, reference), seconds, losses: runs[0]?.losses ?? [] };
    });
    const versions = values.peft === "off" ? {} : await pythonVersions();
    return { versions, ...report(rows) };
  },
});

/** What the runs of a side needed. */
interface Row {
  readonly name: string;
  readonly peak: number | null;
  /** Relative to peft's peak; null: not known. */
  readonly ratio: number | null;
  readonly seconds: number;
  readonly losses: readonly number[];
}

function report(rows: readonly Row[]): Outcome {
  return {
    table: {
      head: ["side", "peak memory", "/ peft's", "s/step", "last loss"],
      rows: rows.map(({ name, peak, ratio, seconds, losses }) => [
        name,
        showPeak(peak),
        ratio === null ? "" : ratio.toFixed(3),
        seconds.toFixed(2),
        (losses.at(-1) ?? Number.NaN).toFixed(4),
      ]),
    },
    results: Object.fromEntries(
      rows.map(({ name, peak, ratio, seconds, losses }): [string, Json] => [
        name,
        { peak_mb: peak, memory_ratio: ratio, step_seconds: seconds, losses },
      ]),
    ),
  };
}

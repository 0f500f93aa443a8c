/** @file How much memory does a step of a model of a billion parameters need, in bfloat16 and in four bits? */
import { existsSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { findNamed } from "../src/messages/find-named.ts";
import { smallModelText } from "../tools/small-model/make-text.ts";
import { type BenchContext, type Outcome, defineBenchmark } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, showPeak } from "./harness/memory.ts";
import {
  LLAMA_1B,
  type RandomLlamaSizes,
  countParameters,
  writeRandomLlamaFolder,
  writeRandomLlamaGguf,
} from "./training/random-llama.ts";
import { median } from "./harness/statistics.ts";
import { type TrainingRun, runGraft, stepSecondsOf, summarizeGraft } from "./training/training-sides.ts";

/** Bytes of text that hold at least one token of the byte tokenizer. */
const BYTES_PER_TOKEN = 2;
const SEED = 1;

/** A model in one storage of its weights, and its path. */
interface Model {
  readonly name: string;
  readonly path: string;
  readonly weights: string;
}

async function makeModels(
  folder: string,
  sizes: RandomLlamaSizes,
  { say }: BenchContext,
): Promise<readonly Model[]> {
  await mkdir(folder, { recursive: true });
  const name = `random-llama-${Object.values(sizes).join("-")}`;
  const [whole, small] = [join(folder, name), join(folder, `${name}.q4_0.gguf`)];
  const weights = join(whole, "model.safetensors");
  say(`a model of ${(countParameters(sizes) / 1e9).toFixed(3)} billion parameters in ${folder}`);
  if (!existsSync(weights)) await writeRandomLlamaFolder(whole, sizes, SEED);
  if (!existsSync(small)) await writeRandomLlamaGguf(small, sizes, SEED);
  return [
    { name: "bf16", path: whole, weights },
    { name: "q4_0", path: small, weights: small },
  ];
}

export const benchmark = defineBenchmark({
  question:
    "How much memory does a LoRA step of a model of a billion parameters need, in bfloat16 and in 4 bits?",
  flags: {
    folder: { value: "", help: "keeps the models (3.3 GB) here; a temporary folder when not given" },
    layers: { value: LLAMA_1B.numLayers, help: "blocks of the model, which is else Llama 3.2 1B" },
    vocabulary: { value: LLAMA_1B.vocabSize, help: "rows of its embedding, which is its head too" },
    forms: { value: "bf16,q4_0", help: "how its weights are stored, with commas" },
    method: { value: "lora", help: "what is trained, as --method of graft train" },
    batch: { value: 1, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 2, help: "steps of a run" },
    rounds: { value: 1, help: "runs of each side" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
  },
  async run(values, context) {
    const { scratch } = context;
    const sizes = { ...LLAMA_1B, numLayers: values.layers, vocabSize: values.vocabulary };
    const made = await makeModels(values.folder || scratch, sizes, context);
    const models = values.forms.split(",").map((name) => findNamed("form", made, name));
    const data = join(scratch, "text.txt");
    const { batch, "max-length": length, steps } = values;
    await writeFile(data, smallModelText(batch * length * steps * BYTES_PER_TOKEN, SEED));
    const places = { data, output: join(scratch, "run"), overwrite: true } as const;
    const cut = { steps, "batch-size": batch, "max-length": length, packing: true } as const;
    const shared = [
      ...flagWords({ ...places, ...cut, method: values.method }),
      ...wordsOf(values["graft-flags"]),
    ];
    const train = async ({ path }: Model): Promise<TrainingRun> =>
      summarizeGraft(await runGraft(["train", "--model", path, ...shared]));
    const sides = Object.fromEntries(models.map((model) => [model.name, () => train(model)]));
    const rounds = await interleave(values.rounds, sides, context);
    const rows = models.map((model) => rowOf(model, rounds[model.name] ?? []));
    const parameters = { ...values, parameters: countParameters(sizes) };
    return { parameters, ...report(rows) };
  },
});

/** What a model in one storage needs. */
interface Row {
  readonly name: string;
  readonly megabytes: number;
  readonly peak: number | null;
  readonly seconds: number;
  readonly losses: readonly number[];
}

function rowOf({ name, weights }: Model, runs: readonly TrainingRun[]): Row {
  return {
    name,
    megabytes: Math.round(statSync(weights).size / 2 ** 20),
    peak: largestPeak(runs),
    seconds: median(stepSecondsOf(runs)),
    losses: runs[0]?.losses ?? [],
  };
}

function report(rows: readonly Row[]): Outcome {
  return {
    table: {
      head: ["weights", "on the disk", "peak memory", "peak / weights", "s/step"],
      rows: rows.map(({ name, megabytes, peak, seconds }) => [
        name,
        `${megabytes} MB`,
        showPeak(peak),
        peak === null ? "" : (peak / megabytes).toFixed(2),
        seconds.toFixed(2),
      ]),
    },
    results: Object.fromEntries(
      rows.map(({ name, megabytes, peak, seconds, losses }) => [
        name,
        { weights_mb: megabytes, peak_mb: peak, step_seconds: seconds, losses },
      ]),
    ),
  };
}

/** @file How much memory does a LoRA step of a model of a billion parameters need, in bfloat16 and in four bits? */
import { existsSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

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

/** Bytes of text that surely hold one token of the byte tokenizer. */
const BYTES_PER_TOKEN = 2;
const SEED = 1;

/** Where the weights of a model lie. */
interface Model {
  readonly path: string;
  readonly weights: string;
}

async function makeModels(
  folder: string,
  sizes: RandomLlamaSizes,
  { say }: BenchContext,
): Promise<Readonly<Record<"bf16" | "q4_0", Model>>> {
  await mkdir(folder, { recursive: true });
  const name = `random-llama-${Object.values(sizes).join("-")}`;
  const [whole, small] = [join(folder, name), join(folder, `${name}.q4_0.gguf`)];
  const weights = join(whole, "model.safetensors");
  say(`a model of ${(countParameters(sizes) / 1e9).toFixed(3)} billion parameters in ${folder}`);
  if (!existsSync(weights)) await writeRandomLlamaFolder(whole, sizes, SEED);
  if (!existsSync(small)) await writeRandomLlamaGguf(small, sizes, SEED);
  return { bf16: { path: whole, weights }, q4_0: { path: small, weights: small } };
}

export const benchmark = defineBenchmark({
  question:
    "How much memory does a LoRA step of a model of a billion parameters need, in bfloat16 and in 4 bits?",
  flags: {
    folder: { value: "", help: "keeps the models (3.3 GB) here; a temporary folder when not given" },
    layers: { value: LLAMA_1B.numLayers, help: "blocks of the model, which is else Llama 3.2 1B" },
    vocabulary: { value: LLAMA_1B.vocabSize, help: "rows of its embedding, which is its head too" },
    batch: { value: 1, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 2, help: "steps of a run" },
    rounds: { value: 1, help: "runs of each side" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
  },
  async run(values, context) {
    const { scratch } = context;
    const sizes = { ...LLAMA_1B, numLayers: values.layers, vocabSize: values.vocabulary };
    const models = await makeModels(values.folder || scratch, sizes, context);
    const data = join(scratch, "text.txt");
    const { batch, "max-length": length, steps } = values;
    await writeFile(data, smallModelText(batch * length * steps * BYTES_PER_TOKEN, SEED));
    const places = { data, output: join(scratch, "run"), overwrite: true } as const;
    const cut = { steps, "batch-size": batch, "max-length": length, packing: true } as const;
    const shared = [...flagWords({ ...places, ...cut, method: "lora" }), ...wordsOf(values["graft-flags"])];
    const train = async ({ path }: Model): Promise<TrainingRun> =>
      summarizeGraft(await runGraft(["train", "--model", path, ...shared]));
    const rounds = await interleave(
      values.rounds,
      { bf16: () => train(models.bf16), q4_0: () => train(models.q4_0) },
      context,
    );
    const rows = (["bf16", "q4_0"] as const).map((name) => rowOf(name, models[name], rounds[name]));
    const parameters = { ...values, parameters: countParameters(sizes) };
    return { parameters, versions: {}, ...report(rows) };
  },
});

/** What a form of the weights needs. */
interface Row {
  readonly name: string;
  readonly megabytes: number;
  readonly peak: number | null;
  readonly seconds: number;
  readonly losses: readonly number[];
}

function rowOf(name: string, { weights }: Model, runs: readonly TrainingRun[]): Row {
  return {
    name,
    megabytes: Math.round(statSync(weights).size / 2 ** 20),
    peak: largestPeak(runs),
    seconds: median(stepSecondsOf(runs)),
    losses: runs[0]?.losses ?? [],
  };
}

function report(rows: readonly Row[]): Pick<Outcome, "table" | "results"> {
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

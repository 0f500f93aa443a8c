/** @file How fast is a LoRA training step, and how much memory does it take, compared with PEFT on the same processor? */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";

import { defineBenchmark, type Json, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { MODEL, asFolder, findModel, pythonVersions } from "./harness/peers.ts";
import { measureProductsOf } from "./training/products.ts";
import {
  largestDifference,
  median,
  ratioOf,
  rounded,
  roundedSpread,
  showRatio,
  type Spread,
} from "./harness/statistics.ts";
import {
  AT_ONCE,
  cutStep,
  drawStart,
  stepSecondsOf,
  trainWithGraft,
  trainWithPeft,
  type TrainingRun,
} from "./training/training-sides.ts";

export const benchmark = defineBenchmark({
  question:
    "How fast is a LoRA step, and in how much memory, against PEFT and PyTorch on the same processor?",
  flags: {
    model: MODEL,
    "graft-model": { value: "", help: "the same weights in another form, for graft alone" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
    data: { value: "", help: "text file; generated stories when not given" },
    batch: { value: 4, help: "rows of a step" },
    "at-once": AT_ONCE,
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 8, help: "steps of a run; the first two are not timed" },
    rounds: { value: 2, help: "runs of each side" },
    rank: { value: 8, help: "rank of the adapter" },
    "learning-rate": { value: 2e-4, help: "AdamW's rate, constant" },
    seed: { value: 1, help: "seed of the adapter's start and of the generated text" },
    threads: { value: 0, help: "threads of both sides; 0: what each chooses" },
  },
  async run(values, context) {
    const { scratch } = context;
    const model = await asFolder(await findModel(values.model, context), context);
    const adapter = await drawStart(model, values.rank, values.seed, join(scratch, "start"));
    const data = join(scratch, "text.txt");
    const numTokens = values.batch * values["max-length"] * values.steps;
    if (values.data !== "") await copyFile(values.data, data);
    else await writeEnoughText(data, numTokens, values.seed);
    const { batch: batchSize, "max-length": maxLength, "learning-rate": learningRate, threads } = values;
    const task = { model, data, adapter, batchSize, maxLength, learningRate, threads };
    const cut = cutStep({ ...task, model: values["graft-model"] || model }, values["at-once"]);
    const steps = flagWords({ steps: values.steps });
    const graftFlags = [...steps, ...cut.flags, ...wordsOf(values["graft-flags"])];
    const rounds = await interleave(
      values.rounds,
      {
        graft: () => trainWithGraft(cut.task, join(scratch, "run"), graftFlags),
        peft: () => trainWithPeft("peft_step.py", task, steps),
        products: () => measureProductsOf(model, batchSize, maxLength, threads),
        checkpointing: () => trainWithPeft("peft_step.py", task, [...steps, "--checkpointing"]),
      },
      context,
    );
    return { versions: await pythonVersions(), ...compare(rounds, batchSize * maxLength) };
  },
});

interface Rounds {
  readonly graft: readonly TrainingRun[];
  readonly peft: readonly TrainingRun[];
  readonly checkpointing: readonly TrainingRun[];
  readonly products: readonly { readonly seconds: number; readonly flop: number }[];
}

function compare({ graft, peft, checkpointing, products }: Rounds, tokensPerStep: number): Outcome {
  const seconds = {
    graft: stepSecondsOf(graft),
    peft: stepSecondsOf(peft),
    peft_checkpointing: stepSecondsOf(checkpointing),
  };
  const productSeconds = products.map((cost) => cost.seconds);
  const share = ratioOf(productSeconds, seconds.graft);
  const sides = [
    { name: "graft", runs: graft, own: seconds.graft },
    { name: "peft", runs: peft, own: seconds.peft },
    { name: "peft, checkpointing", runs: checkpointing, own: seconds.peft_checkpointing },
  ];
  const rows = sides.map(({ name, runs, own }) => [
    name,
    median(own).toFixed(3),
    (tokensPerStep / median(own)).toFixed(1),
    showRatio(ratioOf(own, seconds.graft)),
    showPeak(largestPeak(runs)),
    (runs[0]?.losses.at(-1) ?? Number.NaN).toFixed(4),
  ]);
  rows.push(["bare products", median(productSeconds).toFixed(3), "", showRatio(share), "", ""]);
  const speedOf = (own: readonly number[]): number => rounded(tokensPerStep / median(own), 1);
  const peaks = {
    graft: largestPeak(graft),
    peft: largestPeak(peft),
    checkpointing: largestPeak(checkpointing),
  };
  return {
    table: { head: ["side", "s/step", "tokens/s", "time / graft's", "peak memory", "last loss"], rows },
    results: {
      losses: { graft: graft[0]?.losses ?? [], peft: peft[0]?.losses ?? [] },
      largest_loss_difference: Math.max(
        ...graft.map((run, i) => largestDifference(run.losses, peft[i]?.losses ?? [])),
      ),
      step_seconds: seconds,
      tokens_per_second: {
        graft: speedOf(seconds.graft),
        peft: speedOf(seconds.peft),
        peft_checkpointing: speedOf(seconds.peft_checkpointing),
      },
      speed_ratio: roundedSpread(ratioOf(seconds.peft, seconds.graft)),
      speed_ratio_checkpointing: roundedSpread(ratioOf(seconds.peft_checkpointing, seconds.graft)),
      peak_mb: { graft: peaks.graft, peft: peaks.peft, peft_checkpointing: peaks.checkpointing },
      memory_ratio: peakRatio(peaks.graft, peaks.peft),
      memory_ratio_checkpointing: peakRatio(peaks.graft, peaks.checkpointing),
      products: productCost(products, share),
    },
  };
}

function productCost(products: Rounds["products"], share: Spread): Json {
  const seconds = products.map((cost) => cost.seconds);
  const gflop = (products[0]?.flop ?? 0) / 1e9;
  return {
    seconds,
    gflop: rounded(gflop, 1),
    gflop_per_second: rounded(gflop / median(seconds), 1),
    share_of_step: roundedSpread(share),
  };
}

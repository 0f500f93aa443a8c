/** @file How long does an epoch over conversations of mixed length take, with loss on the answers, against PEFT with a padding collator? */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import { defineBenchmark, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { interleave } from "./harness/interleave.ts";
import { labelsPerStep, meanLoss, readExamples } from "./training/label-counts.ts";
import { ROOT } from "./harness/machine.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { asFolder, findModel, pythonVersions, runPeer } from "./harness/peers.ts";
import { median, ratioOf, rounded, roundedSpread, showRatio } from "./harness/statistics.ts";
import {
  AT_ONCE,
  cutStep,
  eventsOf,
  trainWithGraft,
  trainWithPeft,
  type TrainingRun,
} from "./training/training-sides.ts";

/** Keeps the first rows of a JSONL file; 0 keeps all. */
async function copyRows(from: string, to: string, numRows: number): Promise<void> {
  const lines = (await readFile(from, "utf8")).split("\n").filter((line) => line.trim() !== "");
  await writeFile(to, `${lines.slice(0, numRows === 0 ? undefined : numRows).join("\n")}\n`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export const benchmark = defineBenchmark({
  question:
    "How long is an epoch over conversations, loss on the answers, against PEFT with a padding collator?",
  flags: {
    model: { value: DEFAULT_MODEL, help: "model: a name, a Hugging Face folder or a .gguf file" },
    "graft-flags": { value: "", help: "further flags of graft train, in one word with blanks" },
    data: {
      value: join("examples", "quickstart", "train.jsonl"),
      help: "conversations, OpenAI messages in JSONL",
    },
    examples: { value: 0, help: "only the first N conversations; 0: all" },
    batch: { value: 4, help: "conversations of a step" },
    "packed-batch": { value: 2, help: "rows of a step of graft with --packing, each a micro-batch" },
    "at-once": AT_ONCE,
    "max-length": { value: 1024, help: "tokens that a conversation may have; longer ones are cut" },
    rounds: { value: 1, help: "runs of each side" },
    rank: { value: 8, help: "rank of the adapter" },
    // So small that every side reports the losses of the start, however it batches, and is still a real update.
    "learning-rate": { value: 1e-8, help: "AdamW's rate, constant" },
    seed: { value: 1, help: "seed of the adapter's start" },
    threads: { value: 0, help: "threads of both sides; 0: what each chooses" },
  },
  async run(values, context) {
    const { scratch } = context;
    const model = await asFolder(await findModel(values.model, context), context);
    const adapter = join(scratch, "start");
    await runPeer("make_adapter.py", [model, String(values.rank), String(values.seed), adapter]);
    const data = join(scratch, "conversations.jsonl");
    const isDefault = values.data === benchmark.flags.data.value;
    await copyRows(isDefault ? join(ROOT, values.data) : values.data, data, values.examples);
    const {
      batch: batchSize,
      "packed-batch": packedBatch,
      "at-once": numAtOnce,
      "max-length": maxLength,
      "learning-rate": learningRate,
      threads,
    } = values;
    const task = { model, data, adapter, batchSize, maxLength, learningRate, threads };
    const flags = ["--epochs", "1", ...wordsOf(values["graft-flags"])];
    const output = join(scratch, "run");
    const cut = cutStep(task, numAtOnce);
    const rounds = await interleave(
      values.rounds,
      {
        graft: () => trainWithGraft(cut.task, output, [...flags, ...cut.flags]),
        peft: () => trainWithPeft("peft_conversations.py", task, []),
        packed: () =>
          trainWithGraft({ ...task, batchSize: 1 }, output, [
            ...flags,
            ...flagWords({
              packing: "on",
              "gradient-accumulation-steps": packedBatch,
              "data-parallel": numAtOnce,
            }),
          ]),
      },
      context,
    );
    const examples = await readExamples(model, data, maxLength);
    const labels = {
      graft: labelsPerStep(examples, batchSize, false, maxLength),
      peft: rounds.peft[0]?.tokens ?? [],
      packed: labelsPerStep(examples, packedBatch, true, maxLength),
    };
    return { parameters: values, versions: await pythonVersions(), ...compare(rounds, labels) };
  },
});

type Sides<T> = { readonly graft: T; readonly peft: T; readonly packed: T };

function compare(
  rounds: Sides<readonly TrainingRun[]>,
  labels: Sides<readonly number[]>,
): Pick<Outcome, "table" | "results"> {
  const seconds = (runs: readonly TrainingRun[]): number[] => runs.map((run) => sum(run.stepSeconds));
  const each = <T>(make: (side: keyof Sides<unknown>) => T): Sides<T> => ({
    graft: make("graft"),
    peft: make("peft"),
    packed: make("packed"),
  });
  const epoch = each((side) => seconds(rounds[side]));
  const ratio = each((side) => ratioOf(epoch.peft, epoch[side]));
  const trained = each((side) => sum(labels[side]));
  const loss = each((side) => meanLoss(rounds[side][0]?.losses ?? [], labels[side]));
  const peak = each((side) => largestPeak(rounds[side]));
  const steps = each((side) => labels[side].length);
  const sides = [
    ["graft", "graft"],
    ["packed", "graft --packing"],
    ["peft", "peft, padding"],
  ] as const;
  const firstLosses = each((side) => rounds[side][0]?.losses[0] ?? Number.NaN);
  const facts = eventsOf(rounds.peft[0] ?? { events: [] }, "data")[0]?.value ?? {};
  return {
    table: {
      head: ["side", "s/epoch", "steps", "peft's time / it", "trained tokens", "mean loss", "peak memory"],
      rows: sides.map(([side, name]) => [
        name,
        median(epoch[side]).toFixed(1),
        String(steps[side]),
        showRatio(ratio[side]),
        String(trained[side]),
        loss[side].toFixed(5),
        showPeak(peak[side]),
      ]),
    },
    results: {
      examples: Number(facts["examples"]),
      tokens: Number(facts["tokens"]),
      longest: Number(facts["longest"]),
      padded_tokens: Number(facts["padded_tokens"]),
      epoch_seconds: { ...epoch },
      steps: { ...steps },
      speed_ratio: roundedSpread(ratio.graft),
      speed_ratio_packed: roundedSpread(ratio.packed),
      trained_tokens: { ...trained },
      trained_tokens_equal: trained.graft === trained.peft && trained.packed === trained.peft,
      mean_loss: { ...loss },
      mean_loss_difference: rounded(
        Math.max(Math.abs(loss.graft - loss.peft), Math.abs(loss.packed - loss.peft)),
        7,
      ),
      first_loss_difference: rounded(Math.abs(firstLosses.graft - firstLosses.peft), 7),
      peak_mb: { ...peak },
      memory_ratio: peakRatio(peak.graft, peak.peft),
      memory_ratio_packed: peakRatio(peak.packed, peak.peft),
    },
  };
}

/** @file How long is an epoch over conversations of mixed length, with loss on answers, compared with PEFT and a padding collator? */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { defineBenchmark, type Outcome, type Table } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { interleave } from "./harness/interleave.ts";
import { labelsPerStep, meanLoss, readExamples } from "./training/label-counts.ts";
import { ROOT } from "./harness/machine.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { MODEL, asFolder, findModel, pythonVersions } from "./harness/peers.ts";
import { median, ratioOf, rounded, roundedSpread, showRatio, type Spread } from "./harness/statistics.ts";
import {
  AT_ONCE,
  cutStep,
  drawStart,
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
    model: MODEL,
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
    // A real update, but so small that every side reports the losses of the start, however it makes batches.
    "learning-rate": { value: 1e-8, help: "AdamW's rate, constant" },
    seed: { value: 1, help: "seed of the adapter's start" },
    threads: { value: 0, help: "threads of both sides; 0: what each chooses" },
  },
  async run(values, context) {
    const { scratch } = context;
    const model = await asFolder(await findModel(values.model, context), context);
    const adapter = await drawStart(model, values.rank, values.seed, join(scratch, "start"));
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
    return { versions: await pythonVersions(), ...compare(rounds, labels) };
  },
});

type Sides<T> = { readonly graft: T; readonly peft: T; readonly packed: T };

function compare(rounds: Sides<readonly TrainingRun[]>, labels: Sides<readonly number[]>): Outcome {
  const each = <T>(make: (side: keyof Sides<unknown>) => T): Sides<T> => ({
    graft: make("graft"),
    peft: make("peft"),
    packed: make("packed"),
  });
  const epoch = each((side) => rounds[side].map((run) => sum(run.stepSeconds)));
  const measured: Measured = {
    epoch,
    ratio: each((side) => ratioOf(epoch.peft, epoch[side])),
    trained: each((side) => sum(labels[side])),
    loss: each((side) => meanLoss(rounds[side][0]?.losses ?? [], labels[side])),
    firstLoss: each((side) => rounds[side][0]?.losses[0] ?? Number.NaN),
    peak: each((side) => largestPeak(rounds[side])),
    steps: each((side) => labels[side].length),
  };
  const facts = eventsOf(rounds.peft[0] ?? { events: [] }, "data")[0]?.value ?? {};
  const data = {
    examples: Number(facts["examples"]),
    tokens: Number(facts["tokens"]),
    longest: Number(facts["longest"]),
    padded_tokens: Number(facts["padded_tokens"]),
  };
  return { table: tableOf(measured), results: { ...data, ...resultsOf(measured) } };
}

/** Time and losses of an epoch of each side. */
interface Measured {
  readonly epoch: Sides<readonly number[]>;
  /** Peft's time divided by that of each side. */
  readonly ratio: Sides<Spread>;
  readonly trained: Sides<number>;
  readonly loss: Sides<number>;
  readonly firstLoss: Sides<number>;
  readonly peak: Sides<number | null>;
  readonly steps: Sides<number>;
}

function tableOf({ epoch, ratio, trained, loss, peak, steps }: Measured): Table {
  const names = { graft: "graft", packed: "graft --packing", peft: "peft, padding" };
  return {
    head: ["side", "s/epoch", "steps", "peft's time / it", "trained tokens", "mean loss", "peak memory"],
    rows: (["graft", "packed", "peft"] as const).map((side) => [
      names[side],
      median(epoch[side]).toFixed(1),
      String(steps[side]),
      showRatio(ratio[side]),
      String(trained[side]),
      loss[side].toFixed(5),
      showPeak(peak[side]),
    ]),
  };
}

function resultsOf({ epoch, ratio, trained, loss, firstLoss, peak, steps }: Measured): Outcome["results"] {
  return {
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
    first_loss_difference: rounded(Math.abs(firstLoss.graft - firstLoss.peft), 7),
    peak_mb: { ...peak },
    memory_ratio: peakRatio(peak.graft, peak.peft),
    memory_ratio_packed: peakRatio(peak.packed, peak.peft),
  };
}

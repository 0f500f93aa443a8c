/** @file A job of averaged training: whoever does its shares, and whoever is lost at one, it is what `trainAveraged` gives. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { trainAveraged } from "../../src/train/files/averaged-training.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { newJob } from "./new-job.ts";
import { ADAPTER_FILE, addTrainingFile } from "./train-alone.ts";
import { HELD, movedClock, queueOf, startWorker, succeeded } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const chats = writeTinyChats(join(root, "chats.jsonl"), 24);
const files = new StateFolder(join(root, "state"));
await addTrainingFile(files, chats);
const settings = { maxLength: 64, steps: 3, batchSize: 2, targetModules: ["q_proj"] };
const rounds = { syncEvery: 2, outerLearningRate: 0.7, outerMomentum: 0.9 };
const job = newJob("ftjob-1", { graft: { ...settings, averaging: { shares: 2, ...rounds } } });

test("a share whose worker stalls is done by another, once; the adapter has the bits of the library's", async () => {
  const { table, clock, pass } = movedClock();
  const steps: string[] = [];
  let others: ReturnType<typeof startWorker>[] = [];
  const first = startWorker({
    table,
    files,
    model,
    clock,
    leaseMs: 1000,
    onStep: (step, { share, token }) => {
      steps.push(`${share}:${step}:${token}`);
      if (steps.length !== 1) return;
      pass(10_000);
      void first.close();
      // Before the first comes to its next step, where it would give the share back.
      others = [1, 2].map(() =>
        startWorker({
          table,
          files,
          model,
          clock,
          leaseMs: 1e9,
          onStep: (next, taken) => steps.push(`${taken.share}:${next}:${taken.token}`),
        }),
      );
    },
  });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  const row = await succeeded(table, "ftjob-1");
  await Promise.all([...others, first].map((worker) => worker.close()));
  assert.deepEqual(steps.toSorted(), ["0:1:1", "0:1:2", "0:2:2", "0:3:4", "1:1:1", "1:2:1", "1:3:3"]);
  assert.deepEqual(
    row.shares.map(({ folder }) => folder),
    ["share-1-2", "share-2"],
  );
  const alone = join(root, "alone");
  await trainAveraged(
    { ...settings, ...HELD, seed: 3, model, data: chats, output: alone },
    { workers: 2, ...rounds },
  );
  const run = files.runFolder("ftjob-1", row.folder);
  assert.deepEqual(readFileSync(join(run, ADAPTER_FILE)), readFileSync(join(alone, ADAPTER_FILE)));
  assert.ok((row.job.trained_tokens ?? 0) > 0);
  assert.deepEqual(
    (await files.listCheckpoints("ftjob-1", row.folder)).map(({ step }) => step),
    [2, 3],
  );
  assert.ok(!readdirSync(run).includes("share-1"));
  const told = (await toldBy(table, "ftjob-1")).map(({ message }) => message);
  const of = (start: string): string[] => told.filter((message) => message.startsWith(start));
  assert.deepEqual(
    [...of("Training "), ...of("The ")],
    [
      "Training has started: 2 rounds of 2 shares",
      "The worker of share 1 was lost; the job continues",
      "The job has succeeded: ft:ftjob-1",
    ],
  );
  for (const [nth, step] of [2, 3].entries()) {
    assert.equal(of(`Round ${nth + 1}/2 finished: training loss=`).length, 1);
    // What a checkpoint's metrics are made of.
    const [ofStep, ...others] = await table.listEventsOf("ftjob-1", [step]);
    assert.equal(typeof ofStep?.data?.["train_loss"], "number");
    assert.deepEqual(others, []);
  }
  // A table of its losses, as of other jobs: at each step the mean of the shares.
  const [results = ""] = row.job.result_files;
  const content = await files.readContent((await files.readFile(results))!);
  const rows = Buffer.from(content).toString().trimEnd().split("\n");
  assert.deepEqual(
    rows.map((line) => line.split(",")[0]),
    ["step", "1", "2", "3"],
  );
  const end = (await toldBy(table, "ftjob-1")).find(({ message }) =>
    message.startsWith("The job has succeeded"),
  );
  assert.equal(Number(rows.at(-1)?.split(",")[1]).toFixed(6), Number(end?.data?.["train_loss"]).toFixed(6));
});

test("what a share has told before its worker was lost is told once", async () => {
  const { table, clock, pass } = movedClock();
  let second = null as ReturnType<typeof startWorker> | null;
  const onStep = (step: number, { share }: { share: number | null }): void => {
    if (second !== null || share !== 0 || step !== 3) return;
    pass(10_000);
    void first.close();
    second = startWorker({ table, files, model, clock, leaseMs: 1e9 });
  };
  const first = startWorker({ table, files, model, clock, leaseMs: 1000, onStep });
  const averaging = { shares: 2, ...rounds, syncEvery: 4 };
  // Each share has twelve rows: two batches of five, and one of two.
  const again = newJob("ftjob-2", { graft: { ...settings, steps: 4, batchSize: 5, averaging } });
  await queueOf(table).submit({ job: again, base: "tiny", baseName: "tiny", initAdapter: null });
  const { used } = (await succeeded(table, "ftjob-2")).job;
  await second?.close();
  await first.close();
  const told = await toldBy(table, "ftjob-2");
  const steps = told.flatMap(({ data }) => (data?.["share"] === 1 ? (data["share_step"] as number) : []));
  assert.deepEqual(
    steps.toSorted((a, b) => a - b),
    [1, 2, 3, 4],
  );
  assert.equal(used?.n_epochs, 1);
});

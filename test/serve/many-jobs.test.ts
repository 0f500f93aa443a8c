/**
 * @file Several jobs at a time on one base, each with data, method, optimizer and objective of its own: each trains as if it
 * were alone, while texts are written in another arithmetic; their checkpoints can be asked for. A job goes on in another server.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Job } from "../../src/jobs/job.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { type TinyServer, serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";
import { ADAPTER_FILE, trainAlone } from "../jobs/train-alone.ts";
import { waitFor } from "../process/wait-for.ts";

const root = temporaryFolder();
const COMMON = { maxLength: 64, steps: 8, saveEvery: 2, batchSize: 2, weights: "float32" } as const;
const TRAININGS = [
  { kind: "text", type: "supervised", graft: { method: "lora", rank: 2, optimizer: "adamw" } },
  { kind: "preference", type: "dpo", graft: { method: "road", optimizer: "lion", schedule: "constant" } },
] as const;
type Training = (typeof TRAININGS)[number];

async function open(name: string, maxRunning: number): Promise<TinyServer> {
  mkdirSync(join(root, name), { recursive: true });
  const server = await serveTiny(join(root, name), { maxRunning, compute: "direct" });
  after(() => server.close());
  await server.state.fineTuning?.start();
  return server;
}

const dataOf = ({ kind }: Training): string => writeTinyRows(join(root, `${kind}.jsonl`), kind, 24);

async function create(server: TinyServer, training: Training, more: object = {}): Promise<string> {
  const uploaded = await server.app.request("/v1/files", uploadOf(readFileSync(dataOf(training))));
  const { id: training_file } = (await uploaded.json()) as { id: string };
  const { status, body } = await server.post("/v1/fine_tuning/jobs", {
    model: "tiny",
    training_file,
    seed: 3,
    method: { type: training.type },
    graft: { ...COMMON, weights: undefined, ...training.graft },
    ...more,
  });
  assert.equal(status, 200, JSON.stringify(body));
  return (body as { id: string }).id;
}

async function jobOf({ state }: TinyServer, id: string): Promise<Job> {
  const job = (await state.fineTuning?.queue.table.read(id))?.job;
  assert.ok(job);
  assert.equal(job.error, null);
  return job;
}

function until(server: TinyServer, id: string, is: (job: Job) => boolean): Promise<boolean> {
  return waitFor(async () => is(await jobOf(server, id)));
}

const hasSucceeded = ({ status }: Job): boolean => status === "succeeded";
const trained = (name: string, id: string): Buffer =>
  readFileSync(join(root, name, "state", "jobs", id, "run", ADAPTER_FILE));

/** What the same training gives in a process of its own. */
function alone(training: Training, name: string): Promise<Buffer> {
  return trainAlone({
    model: join(root, "many", "model"),
    data: dataOf(training),
    output: join(root, "alone", name),
    ...(training.type === "supervised" ? {} : { objective: training.type }),
    ...COMMON,
    ...training.graft,
  });
}

async function write(server: TinyServer, model: string): Promise<string> {
  const request = { model, prompt: "ka lo", max_tokens: 8, temperature: 0 };
  const { status, body } = await server.post("/v1/completions", request);
  assert.equal(status, 200, JSON.stringify(body));
  return (body as { choices: [{ text: string }] }).choices[0].text;
}

/** Of the jobs of the first server. */
const ids: string[] = [];

test("two jobs at once train as each alone, beside texts, and their checkpoints are asked for", async () => {
  const server = await open("many", TRAININGS.length);
  const before = await write(server, "tiny");
  for (const training of TRAININGS) ids.push(await create(server, training));
  const ended: string[] = [];
  const ends = ids.map((id) => until(server, id, hasSucceeded).then(() => ended.push(id)));
  const runningAtOnce = new Set<number>();
  const asked = new Set<string>();
  while (ended.length < ids.length) {
    assert.equal(await write(server, "tiny"), before);
    const jobs = await Promise.all(ids.map((id) => jobOf(server, id)));
    runningAtOnce.add(jobs.filter(({ status }) => status === "running").length);
    const checkpoints = server.state.models.list().filter(({ id }) => id.includes(":ckpt-step-"));
    const last = checkpoints.at(-1)?.id;
    // It may go while it is asked for: only the last ones are kept.
    if (last !== undefined && !asked.has(last) && asked.size < 2) {
      asked.add(last);
      await write(server, last);
    }
  }
  await Promise.all(ends);
  assert.ok(runningAtOnce.has(TRAININGS.length), `at once: ${[...runningAtOnce].join(" ")}`);
  assert.ok(asked.size > 0);
  for (const [index, training] of TRAININGS.entries()) {
    const id = ids[index]!;
    assert.deepEqual(trained("many", id), await alone(training, `${index}`), training.graft.method);
    await write(server, (await jobOf(server, id)).fine_tuned_model!);
  }
  assert.equal(await write(server, "tiny"), before);
  assert.deepEqual(server.errors, []);
});

test("a job goes on in another server from a checkpoint, bit for bit, with the same data alone", async () => {
  const [training] = TRAININGS;
  const run = join(root, "many", "state", "jobs", ids[0]!, "run");
  const name = readdirSync(run).find((file) => /^checkpoint-6$/.test(file));
  assert.ok(name);
  const to = await open("to", 1);
  cpSync(join(run, name), join(root, "to", "adapters", name), { recursive: true });
  const moved = await create(to, training, { resume_from: name });
  await until(to, moved, hasSucceeded);
  assert.deepEqual(trained("to", moved), trained("many", ids[0]!));
  const told = await to.state.fineTuning?.queue.table.listEvents(moved);
  assert.ok(told?.some(({ message }) => message === "Resuming after step 6"));
  // Those before were told by the job that the checkpoint is of.
  assert.equal(Math.min(...(told ?? []).flatMap(({ data }) => (data?.["step"] as number) ?? [])), 7);
  const other = await create(to, training, { resume_from: name, seed: 4 });
  await assert.rejects(
    until(to, other, hasSucceeded),
    /seed was 3, is 4.*or start a new run from it with model \(the name of an adapter\)/,
  );
  await assert.rejects(create(to, training, { resume_from: "../../from" }), /404/);
  await assert.rejects(create(to, training, { resume_from: "poet" }), /expected a folder checkpoint-N/);
});

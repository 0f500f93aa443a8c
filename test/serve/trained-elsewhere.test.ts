/** @file A server whose jobs train in other processes answers with what they have trained as soon as anybody can know of it. */
import assert from "node:assert/strict";
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { MemoryJobs } from "../jobs/memory-jobs.ts";
import { newJob } from "../jobs/new-job.ts";
import { queueOf, reachedUnless } from "../jobs/training-workers.ts";
import { openState } from "../../src/jobs/store/open-state.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { TrainedModels } from "../../src/server/jobs/trained-models.ts";
import { BUCKET, startS3 } from "../jobs/s3-server.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";

const root = temporaryFolder();
const inner = new MemoryJobs();
let isDown = false;
// It is not started, and so takes no jobs and looks for none by itself.
const server = await serveTiny(root, { jobs: reachedUnless(() => isDown, inner) });
after(() => server.close());
const { fineTuning } = server.state;
assert.ok(fineTuning);
const { files, fingerprint } = fineTuning;
const queue = queueOf(inner);

const ask = async (model: string): Promise<number> =>
  (await server.post("/v1/completions", { model, prompt: "ka", max_tokens: 1 })).status;

async function take(id: string): Promise<NonNullable<Awaited<ReturnType<typeof queue.take>>>["row"]> {
  await queue.submit({ job: newJob(id, {}), base: fingerprint, baseName: "tiny", initAdapter: null });
  const taken = await queue.take(fingerprint, "elsewhere", 1e9);
  assert.ok(taken);
  return taken.row;
}

const NAME = "ft:tiny:graft::1";

test("checkpoints of a job can be asked for while it trains, and its result when it has succeeded", async () => {
  const row = await take("ftjob-1");
  const write = (...path: string[]): void =>
    cpSync(join(root, "adapters", "poet"), join(files.runFolder("ftjob-1", row.folder), ...path), {
      recursive: true,
    });
  assert.equal(await ask(NAME), 404);
  write("checkpoint-2");
  assert.equal(await ask(`${NAME}:ckpt-step-2`), 200);
  assert.equal(await ask(`${NAME}:ckpt-step-4`), 404);
  write("checkpoint-4");
  assert.equal(await ask(`${NAME}:ckpt-step-4`), 200);
  assert.equal(await ask(NAME), 404);
  write();
  await queue.changeOwn(row, { status: "succeeded", fine_tuned_model: NAME }, []);
  assert.deepEqual(await Promise.all([ask(NAME), ask(NAME), ask(NAME)]), [200, 200, 200]);
  assert.deepEqual(server.errors, []);
});

test("a checkpoint is read where it lies since its worker was lost", async () => {
  const row = await take("ftjob-7");
  const write = (folder: string): void => {
    const path = join(files.runFolder("ftjob-7", folder), "checkpoint-2");
    cpSync(join(root, "adapters", "poet"), path, { recursive: true });
  };
  const name = "ft:tiny:graft::7:ckpt-step-2";
  write(row.folder);
  // It has a name, and is in nobody's memory yet.
  await fineTuning.find(name);
  write("run-2");
  await queue.changeOwn(row, {}, [], { folder: "run-2" });
  rmSync(files.runFolder("ftjob-7", row.folder), { recursive: true });
  assert.equal(await ask(name), 200);
  assert.deepEqual(server.errors, []);
});

test("a job that is refused leaves nothing of the checkpoint that it was to go on from", async () => {
  cpSync(join(root, "adapters", "poet"), join(root, "adapters", "checkpoint-2"), { recursive: true });
  const upload = await server.app.request("/v1/files", uploadOf('{"text": "ka lo"}\n'));
  const { id: training_file } = (await upload.json()) as { id: string };
  const create = async (resume_from: string) => {
    const { status, body } = await server.post("/v1/fine_tuning/jobs", {
      model: "tiny",
      training_file,
      resume_from,
    });
    return [status, (body as { error?: { param: unknown } }).error?.param];
  };
  assert.deepEqual(await create("checkpoint-3"), [404, "resume_from"]);
  const before = readdirSync(join(root, "state", "jobs"));
  const waiting = Array.from({ length: 8 }, (_, i) => newJob(`ftjob-waits-${i}`, {}));
  const more = { base: fingerprint, baseName: "tiny", initAdapter: null };
  for (const job of waiting) await queue.submit({ job, ...more });
  assert.deepEqual(await create("checkpoint-2"), [429, null]);
  assert.deepEqual(readdirSync(join(root, "state", "jobs")), before);
  for (const { id } of waiting) await queue.cancel(id);
});

test("what is left of a job that was cancelled elsewhere can be asked for, until it is removed", async () => {
  const row = await take("ftjob-2");
  const folder = join(files.runFolder("ftjob-2", row.folder), "checkpoint-2");
  cpSync(join(root, "adapters", "poet"), folder, { recursive: true });
  const name = "ft:tiny:graft::2:ckpt-step-2";
  assert.equal(await ask(name), 200);
  const remove = async (): Promise<Response> =>
    await server.app.request(`/v1/models/${name}`, { method: "DELETE" });
  const early = await remove();
  assert.equal(early.status, 409);
  assert.match(await early.text(), /The job \\?"ftjob-2\\?" trains .*: wait for it to end, or cancel it/);
  await queue.cancel("ftjob-2");
  assert.equal(await ask(name), 200);
  assert.equal((await remove()).status, 200);
  assert.equal(await ask(name), 404);
  assert.equal((await inner.listEnded()).get("ftjob-2"), 1, "others hear of it");
});

test("what has been removed from a store is forgotten with its copies here", async () => {
  const s3 = await startS3();
  const open = (name: string) =>
    openState({ folder: join(root, name), store: `s3://${BUCKET}`, env: s3.env, clock: systemClock });
  const [theirs, own] = [await open("theirs"), await open("own")];
  const trained = new TrainedModels(server.state, { queue, files: own, base: fingerprint });
  const row = await take("ftjob-6");
  const run = theirs.runFolder("ftjob-6", row.folder);
  for (const path of [run, join(run, "checkpoint-2")]) {
    cpSync(join(root, "adapters", "poet"), path, { recursive: true });
  }
  await theirs.publishRun("ftjob-6", row.folder);
  const name = "ft:tiny:graft::6";
  await queue.changeOwn(row, { status: "succeeded", fine_tuned_model: name }, []);
  await trained.refresh();
  const checkpoint = `${name}:ckpt-step-2`;
  assert.deepEqual([await ask(name), await ask(checkpoint)], [200, 200]);
  await theirs.removeCheckpoint("ftjob-6", row.folder, 2);
  await queue.noteRemoval("ftjob-6");
  await trained.refresh();
  assert.deepEqual([await ask(name), await ask(checkpoint)], [200, 404]);
  await theirs.removeRuns("ftjob-6");
  await queue.noteRemoval("ftjob-6");
  await trained.refresh();
  assert.equal(await ask(name), 404);
  await s3.close();
});

test("what has been removed through another server is none of this one's any more", async () => {
  const row = await take("ftjob-5");
  const name = "ft:tiny:graft::5";
  const run = files.runFolder("ftjob-5", row.folder);
  for (const path of [run, join(run, "checkpoint-2")]) {
    cpSync(join(root, "adapters", "poet"), path, { recursive: true });
  }
  await queue.changeOwn(row, { status: "succeeded", fine_tuned_model: name }, []);
  const checkpoint = `${name}:ckpt-step-2`;
  const fetchRun = files.fetchRun.bind(files);
  let numFetched = 0;
  files.fetchRun = (...run) => {
    numFetched++;
    return fetchRun(...run);
  };
  assert.deepEqual([await ask(name), await ask(checkpoint)], [200, 200]);
  assert.equal(numFetched, 1, "result and checkpoints come together");
  const has = files.has.bind(files);
  files.has = () => Promise.reject(new Error("the disk is away"));
  assert.equal(await ask(name), 200, "it is in memory");
  files.has = has;
  await files.removeCheckpoint("ftjob-5", row.folder, 2);
  assert.deepEqual([await ask(name), await ask(checkpoint)], [200, 404]);
  await files.removeRuns("ftjob-5");
  assert.equal(await ask(name), 404);
  assert.ok(!server.state.models.list().some(({ id }) => id.startsWith(name)));
  assert.deepEqual(server.errors, []);
});

test("what a job goes on from stays until that job has ended", async () => {
  const made = await take("ftjob-3");
  cpSync(join(root, "adapters", "poet"), files.runFolder("ftjob-3", made.folder), { recursive: true });
  const name = "ft:tiny:graft::3";
  await queue.changeOwn(made, { status: "succeeded", fine_tuned_model: name }, []);
  await queue.submit({
    job: newJob("ftjob-4", { model: name }),
    base: fingerprint,
    baseName: "tiny",
    initAdapter: null,
  });
  const remove = async (): Promise<[number, unknown]> => {
    const answer = await server.app.request(`/v1/models/${name}`, { method: "DELETE" });
    return [answer.status, ((await answer.json()) as { error?: { code: unknown } }).error?.code];
  };
  assert.deepEqual(await remove(), [409, "model_in_use"]);
  assert.equal(await ask(name), 200);
  await queue.cancel("ftjob-4");
  assert.deepEqual(await remove(), [200, undefined]);
  assert.equal(await ask(name), 404);
});

test("a name that nobody can have trained asks no database, and one that somebody can says that it does not answer", async () => {
  isDown = true;
  assert.equal(await ask("nobody"), 404);
  const { status, body } = await server.post("/v1/completions", { model: "ft:tiny:graft::9", prompt: "ka" });
  isDown = false;
  assert.equal(status, 503);
  // Who runs the server is told where; clients are not.
  assert.match(JSON.stringify(body), /failed\/database/);
  assert.doesNotMatch(JSON.stringify(body), /10\.0\.0\.9/);
  assert.match(String(server.errors.splice(0)), /10\.0\.0\.9/);
});

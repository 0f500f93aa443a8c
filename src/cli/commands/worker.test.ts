/** @file `graft worker` as processes on a PostgreSQL whose URL is in GRAFT_TEST_DATABASE: one is killed, and connections are cut. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PGlite } from "@electric-sql/pglite";
import { newJob } from "../../../test/jobs/new-job.ts";
import { BUCKET, startS3 } from "../../../test/jobs/s3-server.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "../../../test/jobs/train-alone.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { openTextParts } from "../../engine/open-text-model.ts";
import { forbidTierUp } from "../../jobs/database/forbid-tier-up.ts";
import { openPostgres } from "../../jobs/database/postgres.ts";
import { prepareTables } from "../../jobs/database/schema.ts";
import { SqlJobs } from "../../jobs/database/sql-jobs.ts";
import { JobQueue } from "../../jobs/queue/job-queue.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import { openState } from "../../jobs/store/open-state.ts";
import type { JobRow, JobTable } from "../../jobs/job-table.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import { StateFolder } from "../../jobs/state-folder.ts";
import { trainAveraged } from "../../train/files/averaged-training.ts";
import { waitFor } from "../../../test/process/wait-for.ts";
import { WireServer } from "../../../test/jobs/wire-server.ts";
import { toldBy } from "../../../test/jobs/told.ts";

const MAIN = fileURLToPath(new URL("../../../bin/graft.js", import.meta.url));
const URL_OF_TESTS = process.env["GRAFT_TEST_DATABASE"];
const skip = URL_OF_TESTS === undefined && "GRAFT_TEST_DATABASE is not set";
/** What tests have behind servers of their own; each begins without tables. */
let pglite: PGlite;
before(async () => {
  forbidTierUp();
  pglite = await PGlite.create();
});
after(() => pglite.close());

/** Starts a worker; `waits` settles when it is ready for jobs, `took` when it has one. */
function start(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const all = ["worker", "--threads", "1", "--json", "--lease-seconds", "5", ...words];
  const child = spawn(process.execPath, [MAIN, ...all], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const taken: string[] = [];
  /** Numbers of the shares that it took; null: a whole job, or what is done between two rounds. */
  const shares: (number | null)[] = [];
  const warnings: string[] = [];
  createInterface(child.stderr).on("line", (line) => warnings.push(line));
  const { promise: waits, resolve: isReady, reject: isNeverReady } = Promise.withResolvers<void>();
  const { promise: took, resolve: hasTaken, reject: hasTakenNone } = Promise.withResolvers<void>();
  child.on("close", () => {
    for (const reject of [isNeverReady, hasTakenNone]) reject(new Error(`it ended: ${warnings.join()}`));
  });
  // Where nobody asks.
  for (const promise of [waits, took]) promise.catch(() => {});
  createInterface(child.stdout).on("line", (line) => {
    const {
      event,
      id = "",
      share = null,
    } = JSON.parse(line) as {
      event: string;
      id?: string;
      share?: number | null;
    };
    if (event === "waiting") isReady();
    if (event !== "job") return;
    taken.push(id);
    shares.push(share);
    hasTaken();
  });
  return { child, waits, took, taken, shares, warnings };
}

/** An empty table with a folder of state, and the words of workers on them. */
async function openQueue(root: string, model: string, data: string, url = URL_OF_TESTS ?? "") {
  const database = openPostgres(url);
  await database.query("drop schema if exists graft cascade");
  await prepareTables(database);
  const table = new SqlJobs(database);
  const files = new StateFolder(join(root, "state"));
  await addTrainingFile(files, data);
  let numIds = 0;
  const queue = new JobQueue({ table, maxWaiting: 9, now: () => 7, newId: () => `test-${numIds++}` });
  const words = ["--model", model, "--chat-template", "chatml", "--database", url, "--files", files.path];
  return { queue, files, table, database, words, base: await baseOf(model) };
}

async function baseOf(model: string): Promise<string> {
  const { base, checkpoint } = await openTextParts(model);
  return await fingerprintOf(base).finally(() => checkpoint.close());
}

function ended(table: JobTable, id: string): Promise<JobRow> {
  return waitFor(async () => {
    const row = await table.read(id);
    return row && ["succeeded", "failed"].includes(row.job.status) ? row : null;
  });
}

test(
  "a job whose worker is killed is ended by another, once and bit for bit, over cut connections",
  { skip },
  async () => {
    const root = temporaryFolder();
    const model = await writeTinyModel(join(root, "small"));
    const data = writeTinyChats(join(root, "chats.jsonl"), 24);
    const { queue, files, table, database, words, base } = await openQueue(root, model, data);
    const settings = { steps: 120, batchSize: 2, maxLength: 64, saveEvery: 5 };
    const job = newJob("ftjob-1", { graft: settings });
    const workers = [start(words), start(words)];
    await queue.submit({ job, base, baseName: "small", initAdapter: null });
    const first = await Promise.race(workers.map(async (worker) => worker.took.then(() => worker)));
    const other = workers.find((worker) => worker !== first);
    const run = files.runFolder("ftjob-1", "run");
    await waitFor(() => existsSync(join(run, "checkpoint-10")));
    first.child.kill("SIGKILL");
    await other?.took;
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'graft' and pid <> pg_backend_pid()",
    );
    const row = await ended(table, "ftjob-1");
    assert.equal(row.job.status, "succeeded", JSON.stringify(row.job.error));
    assert.deepEqual([row.token, row.folder], [2, "run-2"]);
    other?.child.kill("SIGTERM");
    const [status] = (await once(other!.child, "close")) as [number];
    assert.equal(status, 0);
    assert.deepEqual(
      readFileSync(join(files.runFolder("ftjob-1", row.folder), ADAPTER_FILE)),
      await trainAlone({ ...settings, model, data, output: join(root, "whole") }),
    );
    const told = (await toldBy(table, "ftjob-1")).map(({ message }) => message);
    assert.equal(told.filter((message) => message.startsWith("The job has succeeded")).length, 1);
    await database.close();
  },
);

test(
  "a share of an averaged job whose worker is killed is done again by another; the adapter is the library's, bit for bit",
  { skip },
  async () => {
    const root = temporaryFolder();
    const model = await writeTinyModel(join(root, "small"));
    const data = writeTinyChats(join(root, "chats.jsonl"), 24);
    const { queue, files, table, database, words, base } = await openQueue(root, model, data);
    const settings = { steps: 60, batchSize: 2, maxLength: 64 };
    const rounds = { syncEvery: 30, outerMomentum: 0.5 };
    const graft = { ...settings, saveEvery: 5, averaging: { shares: 2, ...rounds } };
    const workers = [start(words), start(words)];
    await queue.submit({ job: newJob("ftjob-1", { graft }), base, baseName: "small", initAdapter: null });
    const share = files.runFolder("ftjob-1", "share-1");
    await waitFor(() => existsSync(join(share, "checkpoint-10")));
    const owner = (await table.read("ftjob-1"))?.shares[0]?.owner ?? "";
    const killed = workers.find(({ child }) => owner.endsWith(`/${child.pid}`));
    killed?.child.kill("SIGKILL");
    const row = await ended(table, "ftjob-1");
    for (const { child } of workers) child.kill("SIGTERM");
    assert.equal(row.job.status, "succeeded", JSON.stringify(row.job.error));
    const pieces = new Set(workers.flatMap(({ shares }) => shares));
    assert.deepEqual(pieces, new Set([1, 2, null]), "each share, and what is done between rounds");
    assert.match(row.shares[0]?.folder ?? "", /^share-1-\d+$/);
    assert.equal(row.shares[1]?.folder, "share-2");
    const output = join(root, "whole");
    await trainAveraged(
      { ...settings, model, data, output, seed: 3, threads: 1, weights: "float32", chatTemplate: "chatml" },
      { workers: 2, ...rounds },
    );
    assert.deepEqual(
      readFileSync(join(files.runFolder("ftjob-1", row.folder), ADAPTER_FILE)),
      readFileSync(join(output, ADAPTER_FILE)),
    );
    const told = (await toldBy(table, "ftjob-1")).map(({ message }) => message);
    for (const once of ["The worker of share 1 was lost", "Round 1/2 has ended", "The job has succeeded"]) {
      assert.equal(told.filter((message) => message.startsWith(once)).length, 1, once);
    }
    await database.close();
  },
);

test(
  "workers of two bases of one name serve one table, each its own jobs; a job for a third is told of and left",
  { skip },
  async () => {
    const root = temporaryFolder();
    const data = writeTinyChats(join(root, "chats.jsonl"), 24);
    const model = await writeTinyModel(join(root, "a/small"));
    const other = await writeTinyModel(join(root, "b/small"), { seed: 9 });
    const { queue, table, database, words, base } = await openQueue(root, model, data);
    const bases = [base, await baseOf(other), "0123456789abcdef"];
    assert.notEqual(bases[0], bases[1]);
    const graft = { steps: 1, batchSize: 1, maxLength: 32 };
    for (const [i, each] of bases.entries()) {
      const job = newJob(`ftjob-${i}`, { graft });
      await queue.submit({ job, base: each, baseName: "small", initAdapter: null });
    }
    const workers = [start(words), start(words.map((word) => (word === model ? other : word)))];
    for (const i of [0, 1]) assert.equal((await ended(table, `ftjob-${i}`)).job.status, "succeeded");
    for (const [i, { warnings }] of workers.entries()) {
      const message = `Cannot train ftjob-2: it is for a base "small" with fingerprint 0123456789abcdef, expected that of this worker's "small", ${bases[i]}`;
      await waitFor(() => warnings.some((line) => line.includes(message)));
    }
    for (const { child } of workers) child.kill("SIGTERM");
    assert.deepEqual(
      workers.map(({ taken }) => taken),
      [["ftjob-0"], ["ftjob-1"]],
    );
    assert.equal((await table.read("ftjob-2"))?.token, 0);
    await database.close();
  },
);

test("a job whose worker is killed while the store takes nothing is ended by another when it does, once and bit for bit", async () => {
  const root = temporaryFolder();
  const model = await writeTinyModel(join(root, "small"));
  const data = writeTinyChats(join(root, "chats.jsonl"), 24);
  const [wire, s3] = [new WireServer(pglite), await startS3()];
  await wire.start();
  const { queue, table, database, words, base } = await openQueue(root, model, data, wire.url);
  const store = `s3://${BUCKET}`;
  const files = await openState({ folder: join(root, "served"), store, env: s3.env, clock: systemClock });
  await addTrainingFile(files, data);
  const workers = [1, 2].map(() => start([...words, "--store", store], s3.env));
  await Promise.all(workers.map(({ waits }) => waits));
  // Whichever run it is in, as a worker on a busy machine may lose its lease.
  s3.refuses = () => [...s3.objects.keys()].some((key) => /^jobs\/ftjob-1\/.*manifest/.test(key));
  const settings = { steps: 6, batchSize: 2, maxLength: 64, saveEvery: 2 };
  const job = newJob("ftjob-1", { graft: settings });
  await queue.submit({ job, base, baseName: "small", initAdapter: null });
  const told = async (): Promise<string[]> => (await toldBy(table, "ftjob-1")).map(({ message }) => message);
  await waitFor(async () => (await told()).some((message) => message.includes("; retrying until")));
  const [killed, other] = workers[0]!.taken.length > 0 ? workers : workers.toReversed();
  killed!.child.kill("SIGKILL");
  await waitFor(() => other!.warnings.some((line) => line.includes("AccessDenied")));
  s3.refuses = () => false;
  const row = await ended(table, "ftjob-1");
  assert.equal(row.job.status, "succeeded", JSON.stringify(row.job.error));
  assert.match(row.folder, /^run-\d+$/);
  assert.ok(other!.warnings.some((line) => line.includes("jobs continue")));
  other!.child.kill("SIGTERM");
  await once(other!.child, "close");
  await files.fetchRun("ftjob-1", row.folder);
  assert.deepEqual(
    readFileSync(join(files.runFolder("ftjob-1", row.folder), ADAPTER_FILE)),
    await trainAlone({ ...settings, model, data, output: join(root, "whole") }),
  );
  assert.equal((await told()).filter((message) => message.startsWith("The job has succeeded")).length, 1);
  await database.close();
  await wire.stop();
  await s3.close();
});

test("copies of a store that a killed worker has left go when another starts, those of living ones stay", async () => {
  const root = temporaryFolder();
  const model = await writeTinyModel(join(root, "small"));
  await pglite.query("drop schema if exists graft cascade");
  const database = new WireServer(pglite);
  await database.start();
  const s3 = await startS3();
  const files = join(root, "copies");
  const words = ["--model", model, "--database", database.url, "--store", `s3://${BUCKET}`, "--files", files];
  const waiting = async () => {
    const worker = start(words, s3.env);
    await worker.waits;
    return worker.child;
  };
  const [killed, living] = [await waiting(), await waiting()];
  const [first, second] = [killed, living].map(
    ({ pid }) => readdirSync(files).find((name) => name.includes(`-${pid}-`)) ?? "",
  );
  assert.ok(first && second);
  killed.kill("SIGKILL");
  await once(killed, "close");
  const next = await waiting();
  const left = readdirSync(files);
  assert.deepEqual([left.length, left.includes(first), left.includes(second)], [2, false, true]);
  for (const child of [living, next]) {
    child.kill("SIGTERM");
    await once(child, "close");
  }
  assert.deepEqual(readdirSync(files), []);
  await database.stop();
  await s3.close();
});

test("a worker that does not see the files of the servers leaves their jobs, says so, and goes on when it does", async () => {
  const root = temporaryFolder();
  const model = await writeTinyModel(join(root, "small"));
  const data = writeTinyChats(join(root, "chats.jsonl"), 4);
  const wire = new WireServer(pglite);
  await wire.start();
  const { queue, files, table, database, words, base } = await openQueue(root, model, data, wire.url);
  const [away, there] = [join(root, "away"), join(files.path, "files")];
  // As where what is shared is not mounted: the folder is there, and empty.
  renameSync(there, away);
  const job = newJob("ftjob-1", { graft: { steps: 1, batchSize: 1, maxLength: 32 } });
  await queue.submit({ job, base, baseName: "small", initAdapter: null });
  const worker = start(words);
  await waitFor(() => worker.warnings.some((line) => line.includes("no job files")));
  assert.deepEqual([worker.taken, (await table.read("ftjob-1"))?.job.status], [[], "queued"]);
  renameSync(away, there);
  const { job: done } = await ended(table, "ftjob-1");
  assert.equal(done.status, "succeeded", JSON.stringify(done.error));
  worker.child.kill("SIGTERM");
  await once(worker.child, "close");
  assert.ok(worker.warnings.some((line) => line.includes("jobs continue")));
  await database.close();
  await wire.stop();
});

test("a worker without its database says so", async () => {
  const said = await runMain(["worker", "--database", "postgres://x@127.0.0.1:1/x", "--files", "files"], {});
  assert.equal(said.status, 1);
  assert.match(said.stderr, /Cannot reach the database/);
});

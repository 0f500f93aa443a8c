/**
 * @file A server that starts while the store of its jobs is away: texts are served, and it is ready when the store answers. Where
 * a folder of the jobs is away, it does not begin.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Clock } from "../../src/jobs/queue/clock.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { openState } from "../../src/jobs/store/open-state.ts";
import { beginJobs } from "../../src/server/jobs/begin-jobs.ts";
import { openFineTuning } from "../../src/server/jobs/open-fine-tuning.ts";
import { newJob } from "../jobs/new-job.ts";
import { BUCKET, startS3 } from "../jobs/s3-server.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const root = temporaryFolder();
const s3 = await startS3();
const server = await serveTiny(root);
const { state } = server;
const stop = new AbortController();
const told: string[] = [];
after(async () => {
  await server.close();
  await s3.close();
});

/** Asks soon, whatever it was to wait. */
const clock: Clock = {
  nowMs: () => systemClock.nowMs(),
  sleep: (timeMs, signal) => systemClock.sleep(Math.min(timeMs, 2), signal),
};
const troubles = {
  onTrouble: (error: unknown) => told.push(String(error)),
  onRecovered: () => told.push("over"),
};

/** Begins with jobs whose files are in the store, or in a folder. */
async function begin(env = s3.env, ownFiles?: StateFolder): Promise<{ begun: Promise<void> }> {
  const { fingerprint, queue, stop: stopLast } = state.fineTuning!;
  await stopLast();
  const files =
    ownFiles ?? (await openState({ folder: join(root, "copies"), store: `s3://${BUCKET}`, env, clock }));
  state.fineTuning = openFineTuning(state, {
    fingerprint,
    files,
    queue,
    held: { compute: "f32", weights: "float32", chatTemplate: "chatml" },
    maxRunning: 1,
    trainsHere: false,
    clock,
    env,
    troubles,
  });
  const onAway = (): void => void told.push("away");
  return await beginJobs(state, { clock, signal: stop.signal, troubles, onAway });
}

async function ask(path: string): Promise<[status: number, code?: string | null, message?: string]> {
  const answer = await server.app.request(path);
  const { error } = (await answer.json()) as { error?: { code: string; message: string } };
  return error ? [answer.status, error.code, error.message] : [answer.status];
}

const READY = "/ready";
const AWAY = [503, "failed/store", "The store of the server does not answer, or refuses: try again shortly"];

test("texts are served while the store is away, /ready says so, and jobs begin when it answers", async () => {
  s3.drops = () => true;
  const { begun } = await begin();
  assert.deepEqual(await ask(READY), AWAY);
  assert.deepEqual(await ask("/v1/files"), AWAY);
  const text = await server.post("/v1/completions", { model: "tiny", prompt: "a", max_tokens: 1 });
  assert.equal(text.status, 200);
  assert.match(told[0] ?? "", /Cannot list "s3:/);
  s3.drops = () => false;
  await begun;
  assert.deepEqual([await ask(READY), await ask("/v1/files")], [[200], [200]]);
  assert.deepEqual(told.splice(0).slice(1), ["away", "over"]);
});

test("a store that refuses is an error at once, and one that does after it was away is one then", async () => {
  const wrong = { ...s3.env, AWS_ACCESS_KEY_ID: "other" };
  await assert.rejects(begin(wrong), { code: "failed/store", message: /InvalidAccessKeyId/ });
  s3.drops = () => true;
  const { begun } = await begin(wrong);
  s3.drops = () => false;
  await assert.rejects(begun, { code: "failed/store", message: /InvalidAccessKeyId/ });
});

test("a folder without files of the jobs that there are is refused, as it is not mounted, and one from which all were removed is not", async () => {
  const files = new StateFolder(temporaryFolder());
  await begin(s3.env, files);
  const { queue, fingerprint } = state.fineTuning!;
  const job = newJob("ftjob-away", {});
  await queue.submit({ job, base: fingerprint, baseName: "tiny", initAdapter: null });
  await assert.rejects(begin(s3.env, files), { code: "usage/flag", message: /there are no job files/ });
  mkdirSync(join(files.path, "files"));
  await (
    await begin(s3.env, files)
  ).begun;
});

test("a server that is to stop waits no longer", async () => {
  s3.drops = () => true;
  const { begun } = await begin();
  stop.abort();
  await begun;
  s3.drops = () => false;
});

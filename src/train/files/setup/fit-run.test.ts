/** @file Plans that take long tell how far they are, and can be stopped. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../../test/tiny/model.ts";
import { parseTrainOptions } from "../../settings/options.ts";
import { type FitProgress, fitRun } from "./fit-run.ts";
import { type OpenedRun, openRun } from "./prepare.ts";

const folder = temporaryFolder();

async function opened(): Promise<OpenedRun> {
  return await openRun(
    parseTrainOptions({
      model: await writeTinyModel(`${folder}/model`),
      data: writeTinyChats(`${folder}/chats.jsonl`, 4),
      output: `${folder}/run`,
      steps: 1,
      memory: "2GB",
    }),
  );
}

test("plans tell how many of them are made, once they have taken a second", async (t) => {
  const run = await opened();
  const told: FitProgress[] = [];
  const onProgress = (progress: FitProgress): void => void told.push(progress);
  let [nowMs, passMs] = [0, 0];
  t.mock.method(performance, "now", () => (nowMs += passMs));
  await fitRun(run, new Set(), { onProgress });
  assert.equal(told.length, 0);
  passMs = 500;
  await fitRun(run, new Set(), { onProgress });
  const last = told.at(-1)!;
  assert.ok(last.totalPlans > 1);
  assert.equal(last.numPlans, last.totalPlans);
  assert.ok(told.length >= last.totalPlans);
  await run.checkpoint.close();
});

test("plans end when they are stopped", async () => {
  const run = await opened();
  const reason = new Error("stopped");
  await assert.rejects(fitRun(run, new Set(), { signal: AbortSignal.abort(reason) }), reason);
  await run.checkpoint.close();
});

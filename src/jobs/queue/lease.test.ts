/** @file What a lease tells of its job when it is over before the table has heard. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { newJob } from "../../../test/jobs/new-job.ts";
import { toldBy } from "../../../test/jobs/told.ts";
import { movedClock, queueOf, reachedUnless } from "../../../test/jobs/training-workers.ts";
import { Lease } from "./lease.ts";
import { Trouble } from "./trouble.ts";

const LEASE_MS = 1000;

/** A job in the hands of a worker, and a table that can be cut off. */
async function takenJob() {
  const { table: memory, clock, pass } = movedClock();
  const place = { isDown: false, numRefused: 0 };
  const table = reachedUnless(() => {
    if (place.isDown) place.numRefused++;
    return place.isDown;
  }, memory);
  const queue = queueOf(table);
  const job = newJob("ftjob-1", { graft: {} });
  await queue.submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  const { row } = (await queue.take("tiny", "w", LEASE_MS))!;
  const troubles: string[] = [];
  const trouble = new Trouble({
    onTrouble: (error) => troubles.push(String(error)),
    onRecovered: () => troubles.push("over"),
  });
  const lease = new Lease({ row, takenMs: clock.nowMs(), leaseMs: LEASE_MS, queue, clock, trouble });
  const told = async (): Promise<string[]> => (await toldBy(memory, job.id)).map(({ message }) => message);
  return { memory, clock, place, pass, lease, told, troubles };
}

test("a change that comes when the lease is over tells nothing; what was told before it is heard as the job is given back", async () => {
  const { memory, pass, lease, told } = await takenJob();
  lease.tell({ message: "Step 1", data: { step: 1 } }, 1);
  pass(LEASE_MS);
  assert.equal(await lease.change({ status: "succeeded" }, { message: "The job has succeeded" }), null);
  await lease.end();
  assert.equal((await memory.read("ftjob-1"))?.job.status, "queued");
  const messages = await told();
  assert.deepEqual([messages.includes("Step 1"), messages.includes("The job has succeeded")], [true, false]);
});

test("a change waits for a table that cannot be reached, and is told after what came before it", async () => {
  const { memory, place, lease, told } = await takenJob();
  place.isDown = true;
  lease.tell({ message: "Step 1", data: { step: 1 } }, 1);
  const changed = lease.change({ status: "running" }, { message: "Training has started" });
  lease.tell({ message: "Step 2", data: { step: 2 } }, 2);
  await setImmediate();
  place.isDown = false;
  await changed;
  await lease.end();
  assert.equal((await memory.read("ftjob-1"))?.job.status, "queued");
  assert.deepEqual((await told()).slice(-3), ["Step 1", "Training has started", "Step 2"]);
});

test("a change that no other try mends is told and thrown at once, and leaves what was told before it to be heard", async () => {
  const { memory, pass, lease, told, troubles } = await takenJob();
  lease.tell({ message: "Step 1", data: { step: 1 } }, 1);
  const withJob = memory.withJob.bind(memory);
  memory.withJob = () => {
    pass(LEASE_MS / 20);
    return Promise.reject(new TypeError("no JSON"));
  };
  await assert.rejects(lease.change({ status: "succeeded" }), { name: "TypeError", message: "no JSON" });
  assert.equal(troubles[0], "TypeError: no JSON");
  memory.withJob = withJob;
  assert.ok(await lease.change({ status: "failed" }, { message: "The job has failed" }));
  await lease.end();
  assert.deepEqual((await told()).slice(-2), ["Step 1", "The job has failed"]);
});

test("a worker tells once that it does not reach the table while it trains, and that it does again", async () => {
  const { place, lease, troubles } = await takenJob();
  place.isDown = true;
  for (let i = 0; i < 2; i++) {
    lease.tell({ message: `Step ${i}`, data: { step: i } }, i);
    while (place.numRefused <= i) await setImmediate();
  }
  place.isDown = false;
  while (troubles.length < 2) await setImmediate();
  await lease.end();
  assert.deepEqual(troubles, ["FailedError: Cannot reach 10.0.0.9:5432", "over"]);
});

test("what is told while a beat is on its way is heard, also where a change has taken along what the beat tells", async () => {
  const { memory, lease, told } = await takenJob();
  const withJob = memory.withJob.bind(memory);
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  memory.withJob = async (...args) => {
    asked.resolve();
    await answer.promise;
    return await withJob(...args);
  };
  lease.tell({ message: "Step 1", data: { step: 1 } }, 1);
  await asked.promise;
  const changed = lease.change({ status: "running" }, { message: "The training has begun" });
  for (const step of [2, 3]) lease.tell({ message: `Step ${step}`, data: { step } }, step);
  answer.resolve();
  await changed;
  await lease.end();
  assert.deepEqual((await told()).slice(-4), ["Step 1", "The training has begun", "Step 2", "Step 3"]);
});

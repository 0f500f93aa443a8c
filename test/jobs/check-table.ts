/** @file What every table of jobs must do, whatever keeps it. */
import assert from "node:assert/strict";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import { type JobPart, type JobRow, type JobTable, TO_DO } from "../../src/jobs/job-table.ts";
import { NOT_ENDED } from "../../src/jobs/job.ts";
import { NEW_HOLD } from "../../src/jobs/queue/shares.ts";
import { newJob } from "./new-job.ts";
import { toldBy } from "./told.ts";

/** Longer than any machine takes. */
const LEASE_MS = 1e9;

/** Jobs of two bases: each has one owner, ends once, and hears of nobody else. */
export async function checkTable(table: JobTable): Promise<void> {
  let numIds = 0;
  const newId = (): string => `${numIds++}`;
  const queue = new JobQueue({ table, maxWaiting: 3, now: () => 7, newId });
  const add = (id: string, base = "a"): Promise<boolean> =>
    queue.submit({ job: newJob(id), base, baseName: "tiny", initAdapter: null });
  assert.equal(await add("ftjob-1"), true);
  assert.equal(await add("ftjob-2", "b"), true);
  assert.equal(await add("ftjob-3"), true);
  assert.equal(await add("ftjob-4"), false, "three may wait");
  assert.equal(await add("ftjob-3"), true, "adding it again is as adding it once");
  assert.equal((await table.list()).length, 3);

  const first = await queue.take("a", "one", LEASE_MS);
  assert.equal(first?.row.job.id, "ftjob-1");
  const taken = await Promise.all(["two", "three"].map((owner) => queue.take("a", owner, LEASE_MS)));
  assert.deepEqual(
    taken.flatMap((each) => each?.row.job.id ?? []),
    ["ftjob-3"],
    "a job has one owner, a base its own jobs",
  );
  assert.equal(await queue.keep(first.row, 1, 1, [queue.eventOf({ message: "one step" })]), "held");
  let second = await queue.take("a", "four", LEASE_MS);
  while (!second) second = await queue.take("a", "four", LEASE_MS);
  assert.deepEqual([second.row.job.id, second.row.token, second.isFromLost], ["ftjob-1", 2, true]);
  const late = queue.eventOf({ message: "too late" });
  assert.equal(await queue.keep(first.row, 1000, 2, [late]), "lost");
  assert.equal(await queue.changeOwn(first.row, { status: "succeeded" }, [late]), null);
  await queue.giveBack(first.row, [late]);

  assert.equal((await queue.changeOwn(second.row, { status: "running" }, []))?.job.status, "running");
  const pausing = await queue.pause("ftjob-1");
  assert.equal(pausing?.status, "paused");
  assert.equal(await queue.keep(second.row, LEASE_MS, 2, []), "stopped");
  await queue.resume("ftjob-1");
  assert.equal(await queue.take("a", "five", LEASE_MS), null, "its owner has not let go of it");
  await queue.giveBack(second.row);
  const third = await queue.take("a", "five", LEASE_MS);
  assert.equal(third?.isFromLost, false);
  const done = queue.eventOf({ message: "done" });
  for (const _ of [1, 2]) {
    const ended = await queue.changeOwn(third.row, { status: "succeeded" }, [done]);
    assert.equal(ended?.job.status, "succeeded", "said twice is as said once");
  }
  assert.equal(await queue.cancel("ftjob-1"), null);
  assert.deepEqual([...(await table.listEnded())], [["ftjob-1", 0]]);
  await queue.noteRemoval("ftjob-1");
  assert.deepEqual([...(await table.listEnded())], [["ftjob-1", 1]]);
  const told = (await toldBy(table, "ftjob-1")).map(({ message }) => message);
  assert.deepEqual(
    told.filter((message) => ["one step", "too late", "done"].includes(message)),
    ["one step", "done"],
  );
  await checkParts(table, "ftjob-1");
  assert.equal((await table.read("ftjob-1"))?.job.status, "succeeded");
  assert.equal(await table.read("ftjob-0"), null);
}

/** Parts of the jobs are found by what they are asked for, and together by all of it. */
export async function checkList(table: JobTable): Promise<void> {
  let numIds = 0;
  const queue = new JobQueue({ table, maxWaiting: 99, now: () => 7, newId: () => `list-${numIds++}` });
  const names = { "ftjob-list-1": "ours", "ftjob-list-2": 'ours "\0\ud800', "ftjob-list-3": "ours" };
  for (const [id, baseName] of Object.entries(names))
    await queue.submit({ job: newJob(id), base: "list", baseName, initAdapter: null });
  await queue.submit({ job: newJob("ftjob-lis%_1"), base: "list", baseName: "others", initAdapter: null });
  await queue.cancel("ftjob-list-3");
  await queue.pause("ftjob-list-2");
  const listed = async (part: JobPart): Promise<string[]> =>
    (await table.list(part)).map(({ job }) => job.id).filter((id) => id.startsWith("ftjob-lis"));
  assert.deepEqual(await listed({ baseName: "ours" }), ["ftjob-list-1", "ftjob-list-3"]);
  assert.deepEqual(await listed({ baseName: names["ftjob-list-2"] }), ["ftjob-list-2"]);
  assert.deepEqual(await listed({ statuses: NOT_ENDED, baseName: "ours" }), ["ftjob-list-1"]);
  assert.deepEqual(await listed({ statuses: TO_DO }), ["ftjob-list-1", "ftjob-lis%_1"]);
  assert.deepEqual(await listed({ statuses: NOT_ENDED, idStart: "ftjob-list-" }), [
    "ftjob-list-1",
    "ftjob-list-2",
  ]);
  assert.deepEqual(await listed({ idStart: "ftjob-lis%" }), ["ftjob-lis%_1"]);
  assert.deepEqual(await listed({ statuses: TO_DO, baseName: "ours", idStart: "ftjob-list-3" }), []);
}

/** Bases with the same tensors have their own jobs where they tell of other settings, and those that tell of none. */
export async function checkBases(table: JobTable): Promise<void> {
  let numIds = 0;
  const queue = new JobQueue({ table, maxWaiting: 9, now: () => 7, newId: () => `base-${numIds++}` });
  const tensors = "0123456789abcdef";
  const [one, two, later] = [
    `${tensors}-1aaaaaaaaaaaa`,
    `${tensors}-1bbbbbbbbbbbb`,
    `${tensors}-2cccccccccccc`,
  ];
  const jobs = { "ftjob-two": two, "ftjob-one": one, "ftjob-old": tensors, "ftjob-later": later };
  for (const [id, base] of Object.entries(jobs))
    await queue.submit({ job: newJob(id), base, baseName: "tiny", initAdapter: null });
  const misfits = await queue.misfits(one, "tiny");
  assert.deepEqual(
    misfits.filter(({ job }) => job.id in jobs).map(({ job }) => job.id),
    ["ftjob-two"],
  );
  for (const [base, expected] of [
    [one, "ftjob-one"],
    [one, "ftjob-old"],
    [one, "ftjob-later"],
    [one, undefined],
    [tensors, "ftjob-two"],
  ] as const) {
    assert.equal((await queue.take(base, "own", LEASE_MS))?.row.job.id, expected);
  }
}

/** Parts of what a job has told make the whole; of steps it is found. */
async function checkParts(table: JobTable, id: string): Promise<void> {
  await table.withJob(id, () => ({
    events: [1, 2, 3].map((step) => ({
      id: `of-step-${step}`,
      object: "fine_tuning.job.event",
      created_at: 7,
      level: "info",
      message: `step ${step}`,
      type: "metrics",
      data: { step },
    })),
    result: null,
  }));
  const all = (await table.listEvents(id)) ?? [];
  const ids = all.map((event) => event.id);
  assert.deepEqual(ids.slice(0, 3), ["of-step-3", "of-step-2", "of-step-1"]);
  assert.deepEqual(await table.listEvents(id, { limit: 2 }), all.slice(0, 2));
  assert.deepEqual(await table.listEvents(id, { after: ids[1]!, limit: 3 }), all.slice(2, 5));
  assert.deepEqual(await table.listEvents(id, { after: ids.at(-1)! }), []);
  assert.equal(await table.listEvents(id, { after: "none" }), null);
  assert.equal(await table.listEvents("ftjob-3", { after: ids[1]! }), null, "it is another job's");
  const ofSteps = await table.listEventsOf(id, [2, 1, 9]);
  assert.deepEqual(
    ofSteps.map((event) => event.id),
    ["of-step-1", "of-step-2"],
  );
}

/** What JSON can say and JSON of PostgreSQL cannot is kept all the same, in keys too. */
export async function checkTexts(table: JobTable): Promise<void> {
  const texts = ["a\0b", "\ud800", "\udfff\ud83d", "😀", "\u001a", "\u001a0000", "\\u0000", "\\\0", '"\\'];
  const metadata = Object.fromEntries(texts.map((text) => [text, text]));
  const job = newJob("ftjob-texts", { metadata, graft: { samples: texts } });
  const queue = new JobQueue({ table, maxWaiting: 9, now: () => 7, newId: () => "of-texts" });
  assert.equal(await queue.submit({ job, base: "texts", baseName: "tiny", initAdapter: null }), true);
  assert.deepEqual((await table.read(job.id))?.job, job);
  assert.deepEqual((await table.list()).find((row) => row.job.id === job.id)?.job, job);
  const events = [{ ...queue.eventOf({ message: texts.join(), data: { texts } }), id: "told-texts" }];
  await table.withJob(job.id, () => ({ events, result: null }));
  assert.deepEqual((await toldBy(table, job.id)).at(-1), events[0]);
}

/** Two rounds of two shares: a share has one owner, ends once, and what is said late of a round changes none. */
export async function checkShares(table: JobTable): Promise<void> {
  let numIds = 0;
  const queue = new JobQueue({ table, maxWaiting: 9, now: () => 7, newId: () => `share-event-${numIds++}` });
  const take = async (leaseMs = LEASE_MS): Promise<JobRow> => {
    const taken = await queue.take("shares", "one", leaseMs);
    assert.ok(taken);
    return taken.row;
  };
  const round = (row: JobRow): Promise<JobRow | null> => {
    const shares = [0, 1].map((i) => {
      const before = row.shares[i] ?? { ...NEW_HOLD, folder: `share-${i}` };
      return { ...before, token: before.token + 1, done: null };
    });
    const next = row.shares.length === 0 ? 0 : row.round + 1;
    return queue.changeOwn(row, { status: "running" }, [], { round: next, shares });
  };
  const done = { examples: 3, epochs: 1, tokens: 5, loss: 1 };
  await queue.submit({ job: newJob("ftjob-shares"), base: "shares", baseName: "tiny", initAdapter: null });
  const opening = await take();
  assert.ok(await round(opening));
  const [first, second] = [await take(), await take()];
  assert.deepEqual([first.share, second.share], [0, 1]);
  assert.equal(await queue.take("shares", "two", 1), null, "nothing is left of the round");
  assert.ok(await queue.changeOwn(first, {}, [], { done }));
  assert.equal(await queue.keep(second, 1, 1, []), "held");
  let again = await queue.take("shares", "three", LEASE_MS);
  while (!again) again = await queue.take("shares", "three", LEASE_MS);
  assert.deepEqual([again.row.share, again.isFromLost], [1, true]);
  assert.equal(await queue.changeOwn(second, {}, [], { done }), null, "who has lost a share does not end it");
  assert.ok(await queue.changeOwn(again.row, {}, [], { done, folder: "share-1-again" }));
  const between = await take();
  assert.deepEqual([between.share, between.shares.map((share) => share.done?.examples)], [null, [3, 3]]);
  assert.ok(await round(between));
  assert.ok(await round(between), "said twice is as said once");
  assert.equal(await round(opening), null, "whoever was before says nothing");
  assert.equal(await queue.changeOwn(first, {}, [], { done }), null, "of a round that has ended");
  const row = await table.read("ftjob-shares");
  assert.deepEqual(
    [row?.round, row?.shares.map((share) => share.done), row?.shares[1]?.folder],
    [1, [null, null], "share-1-again"],
  );
  const [third, fourth] = [await take(), await take()];
  assert.equal((await queue.pause("ftjob-shares"))?.status, "paused");
  for (const own of [third, fourth]) assert.equal(await queue.keep(own, LEASE_MS, 2, []), "stopped");
  await queue.giveBack(third);
  await queue.resume("ftjob-shares");
  const taken = await take();
  assert.deepEqual([taken.share, taken.job.status], [0, "running"], "its other share has not been let go of");
  await queue.takeBackAll();
  const left = await table.read("ftjob-shares");
  assert.deepEqual([left?.job.status, left?.shares.map(({ owner }) => owner)], ["queued", [null, null]]);
  await queue.cancel("ftjob-shares");
  assert.equal(await queue.take("shares", "two", 1), null);
}

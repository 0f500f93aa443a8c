/** @file What is published while a run goes on: the newest, and a store that is away is told of once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Trouble } from "../queue/trouble.ts";
import { RunPublisher } from "./run-publisher.ts";

/** A place that is away until it is told to come back; each write to it ends when the test says so. */
function openPlace() {
  const writes: { end: () => void }[] = [];
  const told: string[] = [];
  const place = { isAway: false };
  const write = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    writes.push({ end: resolve });
    await promise;
    if (place.isAway) throw new Error("away");
  };
  const trouble = new Trouble({
    onTrouble: (error) => told.push((error as Error).message),
    onRecovered: () => told.push("over"),
  });
  const publisher = new RunPublisher(write, trouble);
  const end = async (): Promise<void> => {
    await new Promise(setImmediate);
    writes.at(-1)?.end();
    await new Promise(setImmediate);
  };
  return { place, writes, told, publisher, end };
}

test("checkpoints that are made while one is being published are published at once after it", async () => {
  const { writes, publisher, end } = openPlace();
  publisher.publishSoon();
  await new Promise(setImmediate);
  for (let i = 0; i < 100; i++) publisher.publishSoon();
  await end();
  assert.equal(writes.length, 2);
  await end();
  assert.equal(writes.length, 2);
  await publisher.settled();
  publisher.publishSoon();
  await end();
  assert.equal(writes.length, 3, "what comes later is published too");
});

test("a checkpoint that is made while all is being published is published behind it", async () => {
  const { writes, publisher, end } = openPlace();
  publisher.publishSoon();
  await new Promise(setImmediate);
  const published = publisher.publish();
  publisher.publishSoon();
  for (const numBegun of [1, 2, 3]) {
    await new Promise(setImmediate);
    assert.equal(writes.length, numBegun);
    await end();
  }
  await published;
});

test("a store that is away is told of once, and that it is back", async () => {
  const { place, told, publisher, end } = openPlace();
  place.isAway = true;
  for (let i = 0; i < 3; i++) {
    publisher.publishSoon();
    await end();
  }
  assert.deepEqual(told, ["away"]);
  const last = assert.rejects(publisher.publish(), /away/);
  await end();
  await last;
  place.isAway = false;
  publisher.publishSoon();
  await end();
  assert.deepEqual(told, ["away", "over"]);
});

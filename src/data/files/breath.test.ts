import assert from "node:assert/strict";
import { test } from "node:test";
import { breathing } from "./breath.ts";

/** Keeps the thread for some milliseconds in each of its parts. */
function* parts(count: number, ms: number): Generator<void, string, void> {
  for (let i = 0; i < count; i++) {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
    yield;
  }
  return "done";
}

test("work in parts lets others have the thread every few of them, and gives what it gives", async () => {
  let [numTurns, isDone] = [0, false];
  const turn = (): void => {
    numTurns++;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  assert.equal(await breathing(parts(20, 5)), "done");
  isDone = true;
  assert.ok(numTurns >= 8, `${numTurns} turns in 100 ms`);
});

test("what a part throws is thrown", async () => {
  const failing = function* (): Generator<void, void, void> {
    yield;
    throw new RangeError("no");
  };
  await assert.rejects(breathing(failing()), RangeError);
});

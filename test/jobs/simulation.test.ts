/** @file The queue with a thousand workers, crashes, stalls, lost messages and clocks that run at other rates. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../src/random.ts";
import { simulate } from "./simulation.ts";

test("of a thousand workers, no two have one job at a time, none is lost, and each ends once", async () => {
  const simulated = await simulate({
    numWorkers: 1000,
    numJobs: 1100,
    numBases: 7,
    random: new Random(1),
    crash: 0.05,
    stall: 0.03,
    loss: 0.02,
    skew: 0.08,
  });
  assert.deepEqual(simulated.conflicts, []);
  assert.deepEqual([...simulated.statuses], [["succeeded", 1100]]);
  assert.deepEqual([...simulated.numEnds], [1]);
  assert.ok(simulated.numCrashes > 100 && simulated.numTakenOver > 150, JSON.stringify(simulated));
});

test("clocks that run slower than a lease allows for are seen to break it", async () => {
  const simulated = await simulate({
    numWorkers: 60,
    numJobs: 80,
    numBases: 1,
    random: new Random(2),
    crash: 0,
    stall: 0.3,
    loss: 0.1,
    skew: 0.7,
  });
  assert.ok(simulated.conflicts.length > 0, "the simulation would not see two workers on one job");
  assert.deepEqual([...simulated.numEnds], [1], "even then a job ends once");
});

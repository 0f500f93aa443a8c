import assert from "node:assert/strict";
import { test } from "node:test";

import { describeNewLength } from "./new-length.ts";

const RUN = {
  schedule: "constant",
  learningRate: 2e-4,
  warmupSteps: 0,
  step: 20,
  before: 20,
  now: 40,
  measuresBranches: false,
};

test("a longer run with a constant rate, or one that the new length does not change, is as one from the start", () => {
  for (const run of [
    RUN,
    { ...RUN, warmupSteps: 5 },
    { ...RUN, step: 5, schedule: "linear", warmupSteps: 7 },
  ]) {
    assert.match(describeNewLength(run), /40 steps instead of 20: its result is exactly that of a run of 40/);
  }
});

test("the rates of another schedule differ, and the sentence says where they go on", () => {
  assert.equal(
    describeNewLength({ ...RUN, schedule: "linear", warmupSteps: 1 }),
    "The run now has 40 steps instead of 20: its result differs from that of a run of 40 steps from the start, as " +
      "steps 1 to 20 had the linear schedule of 20 steps, and the learning rate goes from 0.000011 to 0.0001 at step 21.",
  );
});

test("a warm-up that nobody chose would have been longer", () => {
  const chosen = { ...RUN, schedule: "linear", step: 2, now: 400 };
  assert.match(describeNewLength({ ...chosen, warmupSteps: 2 }), /exactly/);
  assert.match(describeNewLength({ ...chosen, warmupSteps: 1 }), /differs/);
});

test("DropBP measures at another step of a longer run", () => {
  const run = { ...RUN, measuresBranches: true };
  assert.match(describeNewLength(run), /differs .* DropBP measures its branches after step 2, not 4/);
  assert.match(describeNewLength({ ...run, step: 2 }), /exactly/);
});

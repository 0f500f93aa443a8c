/** @file When a run that goes on has its report written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TrainingSetup } from "../setup/setup.ts";
import { RunReporter } from "./run-reporter.ts";

test("a checkpoint has a report every half a minute, but for that of the last step", () => {
  let nowMs = 0;
  const reporter = new RunReporter({ options: { threads: 1 } } as TrainingSetup, "", () => nowMs);
  const at = (step: number): boolean => reporter.isDueAt({ global_step: step, max_steps: 3 });
  assert.equal(at(1), false);
  nowMs = 30_000;
  assert.deepEqual([at(1), at(2), at(3)], [true, true, false]);
});

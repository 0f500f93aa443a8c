/** @file What the loop works with, of settings as they are given: for tests that run parts of a training by themselves. */
import { RESIDENT } from "../../src/runtime/memory/vector-memory.ts";
import { fitRun } from "../../src/train/files/setup/fit-run.ts";
import { openRun } from "../../src/train/files/setup/prepare.ts";
import { type TrainingSetup, setUp } from "../../src/train/files/setup/setup.ts";
import type { TrainOptions } from "../../src/train/settings/options.ts";

/** Prepares a run; its checkpoint (`origin`) is closed by whoever asked. */
export async function setUpRun(options: TrainOptions): Promise<TrainingSetup> {
  const opened = await openRun(options);
  return await setUp(opened, await fitRun(opened, new Set(Object.keys(options))), RESIDENT);
}

/** @file A small run of `fineTune` that keeps nothing: three steps on random examples of changing lengths. */
import type { TrainingUnit } from "../../src/data/examples/training-unit.ts";
import { planSteps } from "../../src/data/batches/order.ts";
import { adamw } from "../../src/optim/adamw.ts";
import { findSchedule } from "../../src/optim/schedules.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import type { Recompute } from "../../src/train/recompute.ts";
import type { Session } from "../../src/run/session.ts";
import { NEXT_TOKEN } from "../../src/train/evaluate.ts";
import type { FineTuneRequest } from "../../src/train/loop/fine-tune-request.ts";
import { unitsToBatch } from "../../src/train/step/micro-batch.ts";
import { NO_STORE } from "../../src/train/loop/run-store.ts";
import { randomExamples } from "../passes/model-passes.ts";

/** What to ask for; the caller changes what it is about. */
export function requestFor(
  session: Session,
  adapter: Adapter,
  recompute: Recompute = false,
): FineTuneRequest {
  const examples = randomExamples([9, 6, 7, 12, 5, 8], 3);
  return {
    session,
    adapter,
    plan: planSteps<TrainingUnit>({
      examples,
      shuffle: true,
      seed: 2,
      batchSize: 2,
      gradientAccumulationSteps: 1,
      packing: false,
      maxLength: 16,
    }),
    totalSteps: 3,
    toBatch: (rows) => unitsToBatch(rows.flat()),
    maxLength: 16,
    objective: NEXT_TOKEN,
    reference: null,
    optimizer: {
      optimizer: adamw,
      options: adamw.options.parse({}),
      schedule: findSchedule("constant"),
      learningRate: 0.01,
      warmupSteps: 0,
      weightDecay: 0,
      maxGradNorm: 1,
    },
    evaluation: { units: randomExamples([8, 5], 4), everySteps: 1, patience: null },
    dropBp: null,
    recompute,
    seed: 2,
    store: NO_STORE,
    saveEverySteps: null,
    logEverySteps: 1,
    settings: {},
    hooks: { peakMegabytes: () => 0 },
  };
}

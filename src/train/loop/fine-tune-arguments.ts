/** @file Checks what callers request from the fine-tuning loop: they may be plain JavaScript. */
import { z } from "zod";
import { UNIT_LIST } from "../../data/examples/training-unit.ts";
import { parseSettings } from "../../messages/problems.ts";
import {
  checkArguments,
  A_CHOICE,
  A_COUNT,
  A_FUNCTION,
  AN_AMOUNT,
  ANYTHING,
  A_SIGNAL,
  objectWith,
  lazily,
} from "../../messages/arguments.ts";
import type { Optimizer } from "../../optim/optimizer.ts";
import type { Schedule } from "../../optim/schedule.ts";
import { AN_ADAPTER } from "../../peft/attach.ts";
import { A_SESSION } from "../../run/session.ts";
import { AN_OBJECTIVE } from "../objective.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import type { RunStore } from "./run-store.ts";

const A_PLAN = objectWith<FineTuneRequest["plan"]>(
  "a plan, as planSteps() returns it",
  "microBatches",
  "stepsPerEpoch",
);
const AN_OPTIMIZER = objectWith<Optimizer>(
  "an optimizer, such as one of OPTIMIZERS",
  "options",
  "name",
  "slots",
  "scalars",
  "update",
);
const A_SCHEDULE = objectWith<Schedule>("a schedule, such as one of SCHEDULES", "name", "factor");
const A_STORE = objectWith<RunStore>(
  "a store, such as NO_STORE",
  "resume",
  "log",
  "save",
  "restore",
  "finish",
  "newestCheckpoint",
);

const OPTIMIZER_PLAN = z.strictObject({
  optimizer: AN_OPTIMIZER,
  options: ANYTHING,
  schedule: A_SCHEDULE,
  learningRate: AN_AMOUNT,
  warmupSteps: z.int().min(0),
  weightDecay: AN_AMOUNT,
  maxGradNorm: AN_AMOUNT,
});

const HOOKS = z.strictObject({
  signal: A_SIGNAL.optional(),
  mayWrite: A_FUNCTION.optional(),
  peakMegabytes: A_FUNCTION,
  betweenBlocks: A_FUNCTION.optional(),
  rest: A_FUNCTION.optional(),
  samples: ANYTHING,
  pacer: ANYTHING,
});

const ARGUMENTS = lazily(() =>
  z.strictObject({
    request: z.strictObject({
      session: A_SESSION,
      adapter: AN_ADAPTER,
      plan: A_PLAN,
      totalSteps: z.int().min(0),
      toBatch: A_FUNCTION,
      maxLength: A_COUNT,
      objective: z.strictObject({ objective: AN_OBJECTIVE, options: ANYTHING }),
      reference: AN_ADAPTER.nullable(),
      optimizer: OPTIMIZER_PLAN,
      evaluation: z
        .strictObject({
          units: UNIT_LIST.min(1),
          everySteps: A_COUNT,
          patience: A_COUNT.nullable(),
          metric: ANYTHING,
          keepsBest: A_CHOICE.optional(),
        })
        .nullable(),
      activations: ANYTHING,
      recompute: z.union([z.boolean(), z.literal("all-but-attention")]),
      numLanes: A_COUNT.optional(),
      dropBp: z.looseObject({ rate: z.number().min(0).max(0.9) }).nullable(),
      seed: z.int(),
      store: A_STORE,
      saveEverySteps: A_COUNT.nullable(),
      logEverySteps: A_COUNT,
      settings: z.record(z.string(), z.unknown()),
      hooks: HOOKS,
    }),
  }),
);

/** Checks a request, and adds default options of its objective and optimizer. @throws UsageError "usage/flag" */
export function withDefaults(request: FineTuneRequest): FineTuneRequest {
  checkArguments("fineTune", ARGUMENTS, { request });
  const { objective, optimizer } = request;
  return {
    ...request,
    objective: { ...objective, options: optionsOf("objective", objective.objective, objective.options) },
    optimizer: { ...optimizer, options: optionsOf("optimizer", optimizer.optimizer, optimizer.options) },
  };
}

function optionsOf(
  kind: string,
  { name, options }: { readonly name: string; readonly options: z.ZodType },
  given: unknown,
): unknown {
  return parseSettings(
    options,
    given,
    `options of ${kind} "${name}"`,
    "Leave out options that should keep their defaults.",
  );
}

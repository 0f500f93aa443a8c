/** @file Collects from a prepared run everything that decides how much memory it takes. */
import { DATA_KINDS } from "../../../data/examples/data-kinds.ts";
import { exampleLength } from "../../../data/examples/training-unit.ts";
import { keptIn } from "../../../format/checkpoint/load-model.ts";
import { parseByteSize } from "../../../messages/byte-size.ts";
import { COMPUTES } from "../../../nn/computes.ts";
import { NO_ADAPTER } from "../../../peft/adapter-view.ts";
import { makesModel } from "../../../peft/method.ts";
import { findActivationForm } from "../../activations/forms.ts";
import { findEvalMetric } from "../../eval-metrics.ts";
import type { Objective } from "../../objective.ts";
import { plannedSession } from "../../plan/passes/planned-session.ts";
import type { MemoryRequest } from "../../plan/run-memory.ts";
import { readersOf } from "../../plan/run-passes.ts";
import { outerBytes } from "../../plan/weight-memory.ts";
import {
  type BudgetRequest,
  requireFrozenShards,
  requireResidentBudget,
} from "../../plan/resident-budget.ts";
import type { TrainOptions } from "../../settings/options.ts";
import type { PreparedRun } from "./prepare.ts";
import { residencyOf } from "./run-choices.ts";

/** Makes the request for the memory plan of a run. @throws CapacityError "capacity/memory" for a budget of parameters that is too small */
export function memoryRequest(run: PreparedRun): MemoryRequest {
  const { options, checkpoint, data, optimizer } = run;
  const budgetBytes = parseByteSize(options.residentMemory ?? "");
  requireFrozenShards(options.shardDtype, {
    hasBudget: budgetBytes !== null,
    trainsAll: makesModel(run.method),
  });
  if (budgetBytes !== null) requireResidentBudget(budgetBytes, budgetRequest(run));
  return {
    ...run,
    kept: keptIn(checkpoint),
    storedBytes: checkpoint.heldBytes,
    residency: residencyOf(options),
    compute: COMPUTES[options.compute],
    attentionChunk: options.attentionChunk ?? null,
    objective: run.objective.objective,
    startsFromAdapter: options.initAdapter !== undefined,
    numSlots: optimizer.slots.length,
    numLanes: options.dataParallel ?? 1,
    packing: options.packing,
    heldOut: data.heldOut,
    predicts: looksAtLogits(options, run.objective.objective),
    numTokens: data.train.reduce((sum, unit) => sum + exampleLength(unit), 0),
    tokenizerFiles: checkpoint.tokenizerFiles,
    seed: options.seed,
    activations: findActivationForm(options.activations),
    budgetBytes,
    sampleTokens: options.samples === undefined ? null : options.sampleTokens,
  };
}

/** Whether evaluations find the likeliest tokens or classes: for classes they always do. */
function looksAtLogits({ evalMetric }: Pick<TrainOptions, "evalMetric">, objective: Objective): boolean {
  return (
    DATA_KINDS[objective.rows].problem !== null || findEvalMetric(evalMetric, objective).needsPredictions
  );
}

/** Makes the request for the least memory of a run's parameters. */
export function budgetRequest(run: PreparedRun): BudgetRequest {
  const { options, model, layout, outline, method, optimizer, checkpoint } = run;
  const residency = residencyOf(options);
  const compute = COMPUTES[options.compute];
  const session = plannedSession({ model, kept: keptIn(checkpoint), compute, residency });
  const comparison = {
    objective: run.objective.objective,
    startsFromAdapter: options.initAdapter !== undefined,
  };
  const readers = readersOf(comparison, outline);
  return {
    model,
    trained: layout.trainedBase,
    waits: makesModel(method),
    hasPlainPasses: readers.includes(NO_ADAPTER),
    numSlots: optimizer.slots.length,
    residency,
    storedBytes: checkpoint.heldBytes,
    outsideBytes: Math.max(...readers.map((reader) => outerBytes(session, reader))),
  };
}

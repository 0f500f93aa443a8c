/** @file Makes the request to the training loop from the settings of a run and from what they opened. */
import { type Batch, layRows } from "../../data/batches/batch.ts";
import type { TrainingExample, TrainingUnit } from "../../data/examples/training-unit.ts";
import { isExact } from "../../nn/computes.ts";
import { findSchedule } from "../../optim/schedules.ts";
import { isLargeTable } from "../../run/large-tables.ts";
import type { Session } from "../../run/session.ts";
import type { Residency } from "../../run/weights/weights.ts";
import { findActivationForm } from "../activations/forms.ts";
import { findEvalMetric } from "../eval-metrics.ts";
import type { EvaluationPlan, FineTuneRequest, OptimizerPlan } from "../loop/fine-tune-request.ts";
import { layUnits } from "../step/micro-batch.ts";
import type { TrainOptions } from "../settings/options.ts";
import { numericSettings } from "../settings/saved-settings.ts";
import { type RunPlace, folderStore } from "./folder/folder-store.ts";
import { withoutRows } from "./config-text.ts";
import { fileContents, learnerContents, namesByContent } from "./provenance.ts";
import { openPacer } from "./power/run-pacer.ts";
import type { TrainingSetup } from "./setup/setup.ts";

/** Makes the request. */
export async function requestOf(setup: TrainingSetup, place: RunPlace): Promise<FineTuneRequest> {
  const { session, activations, hooks, warn } = place;
  const { signal, shared, mayWrite } = hooks;
  const { options, adapter, plan, totalSteps, memory, objective, reference } = setup;
  const learner = await learnerContents(setup);
  const names = hooks.namesByContent ? namesByContent(learner, setup.inputs, options) : {};
  const numeric = numericSettings({ ...withoutRows(options), weights: numericWeights(options, session) });
  const settings = { ...numeric, ...fileContents(setup.inputs), ...learner, ...names };
  return {
    session,
    adapter,
    plan,
    totalSteps,
    toBatch: (rows) => layMicroBatch(options, rows),
    maxLength: options.maxLength,
    objective,
    reference,
    optimizer: optimizerPlan(setup),
    evaluation: evaluationPlan(setup),
    recompute: memory.recompute,
    numLanes: options.dataParallel ?? 1,
    activations: { form: findActivationForm(options.activations), disk: activations },
    dropBp: setup.dropBp,
    seed: options.seed,
    store: folderStore(setup, place, settings),
    saveEverySteps: options.saveEvery ?? null,
    logEverySteps: options.logEvery,
    settings,
    hooks: {
      signal,
      mayWrite,
      peakMegabytes,
      betweenBlocks: shared?.betweenBlocks,
      rest: shared?.rest,
      pacer: openPacer(options, signal, warn),
    },
  };
}

/** How weights are held, if that changes numbers: with a table that is read some rows at a time, sums have another order. */
function numericWeights({ compute: name, weights }: TrainOptions, session: Session): Residency | undefined {
  const { model, base, compute, maxTableBytes } = session;
  const holding = { model, compute, residency: "stored", maxTableBytes, source: base.source } as const;
  return isExact(name) && isLargeTable(holding, model.headTensor.name) ? weights : undefined;
}

function optimizerPlan({ optimizer, optimizerOptions, options }: TrainingSetup): OptimizerPlan {
  const { learningRate, warmupSteps, weightDecay, maxGradNorm } = options;
  const rates = { schedule: findSchedule(options.schedule), learningRate, warmupSteps };
  return { optimizer, options: optimizerOptions, ...rates, weightDecay, maxGradNorm };
}

function evaluationPlan({ data, plan, objective, options }: TrainingSetup): EvaluationPlan | null {
  if (data.heldOut === null) return null;
  return {
    units: data.heldOut,
    everySteps: options.evalEvery ?? plan.stepsPerEpoch,
    patience: options.earlyStopping ?? null,
    metric: findEvalMetric(options.evalMetric, objective.objective),
    keepsBest: options.evalMetric !== undefined,
  };
}

/** Lays out the rows of a micro-batch. */
export function layMicroBatch({ packing }: TrainOptions, rows: readonly (readonly TrainingUnit[])[]): Batch {
  return packing ? layRows(rows as readonly (readonly TrainingExample[])[]) : layUnits(rows.flat());
}

/** Largest resident memory of this process so far. */
function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

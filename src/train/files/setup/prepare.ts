/**
 * @file Prepares a run before any weight is read, and checks it: settings, model, data and steps.
 *
 * A run is opened once, which reads its data, and then settled with one or several choices of settings, to compare plans.
 */
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import { withChatTemplate } from "../../../data/files/chat-template-file.ts";
import { type StepPlan, planSteps } from "../../../data/batches/order.ts";
import { noteMaxLength } from "../../../data/max-length.ts";
import { UsageError } from "../../../errors.ts";
import { openCheckpoint } from "../../../format/by-path.ts";
import type { Checkpoint } from "../../../format/checkpoint/checkpoint.ts";
import { withQuantizedBase } from "../../../format/checkpoint/quantized-base.ts";
import type { Target } from "../../../graph/emitter.ts";
import { type ResolveOptions, resolveModel } from "../../../hub/resolve.ts";
import { openModel } from "../../../models/families.ts";
import type { Model } from "../../../models/model.ts";
import type { Optimizer } from "../../../optim/optimizer.ts";
import { findSchedule } from "../../../optim/schedules.ts";
import { createEngine } from "../../../runtime/create-engine.ts";
import type { DropPlan } from "../../dropbp/branch-dropper.ts";
import { requireTrainedBranch } from "../../dropbp/branch-list.ts";
import type { Objective } from "../../objective.ts";
import { findEvalMetric } from "../../eval-metrics.ts";
import { suitableLearningRate, suitableWarmup } from "../../settings/learning-rate.ts";
import type { ChosenObjective } from "../../step/objective-step.ts";
import { requireSource } from "../../power/options.ts";
import { requireManyAtOnce } from "../../settings/data-parallel.ts";
import { type SizedOptions, type TrainOptions, methodOptions, sizedFor } from "../../settings/options.ts";
import { readSamplePrompts } from "../data/sample-prompts.ts";
import { readRunData } from "../data/read-run-data.ts";
import type { ReadingHooks, RunData } from "../data/run-data.ts";
import { CHOICES, type Choices } from "../../settings/choices.ts";
import { withRunClasses } from "./class-head.ts";
import { type RunLayout, layOutRun } from "./lay-out-run.ts";
import {
  chooseObjective,
  dropPlan,
  idleComputeNotes,
  idleEvaluationNotes,
  optimizerOf,
  requireFrozenBase,
  requireShortWarmup,
  requireWriter,
} from "./run-choices.ts";

const DEFAULT_EPOCHS = 3;

/** Settings with the values that the model and the length of the run decide if the user does not. */
export type SettledOptions = SizedOptions & { readonly learningRate: number; readonly warmupSteps: number };

/** A run whose model is open and whose data is read. */
export interface OpenedRun extends Choices {
  readonly options: SizedOptions;
  readonly path: string;
  /** The checkpoint. The caller closes it. */
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly data: RunData;
  /** The processor for which its programs will be written. */
  readonly target: Target;
}

/** A run with settings that fit it. */
export interface PreparedRun extends RunLayout {
  readonly options: SettledOptions;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  readonly data: RunData;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  readonly optimizer: Optimizer;
  readonly optimizerOptions: unknown;
  readonly objective: ChosenObjective;
  readonly dropBp: DropPlan | null;
  readonly target: Target;
}

/** How a run is opened; a plan opens it without weights or data. */
interface OpeningHooks extends ReadingHooks {
  readonly open?: typeof openCheckpoint;
  readonly sources?: ResolveOptions["sources"];
  readonly makeData?: ((options: SizedOptions, model: Model, objective: Objective) => RunData) | undefined;
}

/** Opens the model and reads the data. @throws errors of settings, model and data */
export async function openRun(
  options: TrainOptions,
  choices = CHOICES,
  { open = openCheckpoint, sources, makeData, ...hooks }: OpeningHooks = {},
): Promise<OpenedRun> {
  const { methods, objectives } = choices;
  // Reports problems of these before anything is read.
  optimizerOf(options);
  methodOptions(options, methods);
  requireFrozenBase(options, methods);
  requireManyAtOnce(options);
  requireSource(options);
  if (options.samples !== undefined) await readSamplePrompts(options.samples, { hasTemplate: false });
  const { path } = await resolveModel(options.model, {
    ...(hooks.env && { env: hooks.env }),
    ...(sources && { sources }),
  });
  const opened = await open(path);
  try {
    const templated = withChatTemplate(opened, options.chatTemplate);
    const classes = await withRunClasses(options, templated, { hasData: makeData === undefined, objectives });
    const checkpoint = withQuantizedBase(classes.checkpoint, options.base);
    const model = openModel(checkpoint.config);
    const { objective } = chooseObjective(options, model, objectives);
    const sized = sizedFor(options, model);
    dropPlan(sized, model);
    requireWriter(sized, model);
    findEvalMetric(options.evalMetric, objective);
    const data =
      makeData?.(sized, model, objective) ??
      (await readRunData(sized, { model, objective, tokenizerFiles: checkpoint.tokenizerFiles }, hooks));
    if ((options.earlyStopping ?? options.evalMetric) !== undefined && data.heldOut === null) {
      const aim = options.earlyStopping === undefined ? "keep the best checkpoint" : "stop early";
      throw new UsageError("usage/flag", `Cannot ${aim}: there is no held-out data to evaluate on`, {
        hint: "Give --eval-data or --eval-share, or a data folder with valid.jsonl.",
      });
    }
    const notes = [
      ...idleComputeNotes(options, methods),
      ...idleEvaluationNotes(options, data),
      ...noteMaxLength(model, options.maxLength),
      ...classes.notes,
      ...data.notes,
    ];
    const target = await createEngine({ threads: 1 }).target();
    return { options: sized, path, checkpoint, model, ...choices, data: { ...data, notes }, target };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Settles the settings of an opened run. `placed`: what it attaches to its model, if known. @throws errors of settings */
export function settleRun(
  { options, checkpoint, model, methods, objectives, data, target }: OpenedRun,
  placed: RunLayout = layOutRun(options, checkpoint, model, methods),
): PreparedRun {
  const { optimizer, optimizerOptions } = optimizerOf(options);
  const objective = chooseObjective(options, model, objectives);
  const { batchSize, gradientAccumulationSteps, packing, maxLength, shuffle, seed } = options;
  const rows = { batchSize, gradientAccumulationSteps, packing, maxLength, shuffle, seed };
  const plan = planSteps({ ...rows, examples: data.train, sources: data.sources });
  const totalSteps =
    options.steps ?? Math.max(1, Math.round((options.epochs ?? DEFAULT_EPOCHS) * plan.stepsPerEpoch));
  const { method, layout } = placed;
  const { width } = model;
  const rateOf = { method, methodOptions: layout.options, optimizer, objective: objective.objective, width };
  const settled = {
    ...options,
    learningRate: options.learningRate ?? suitableLearningRate(rateOf),
    warmupSteps: options.warmupSteps ?? suitableWarmup(findSchedule(options.schedule), totalSteps),
  };
  requireShortWarmup(options, totalSteps);
  const dropBp = dropPlan(options, model);
  if (dropBp) requireTrainedBranch(model, placed.outline);
  return {
    options: settled,
    model,
    checkpoint,
    data,
    ...placed,
    plan,
    totalSteps,
    optimizer,
    optimizerOptions,
    objective,
    dropBp,
    target,
  };
}

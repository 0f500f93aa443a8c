/**
 * @file What is known of a run before any weight is read: settings, model, data and steps, and what of it is wrong.
 *
 * A run is opened once, which reads its data, and settled with one choice of settings or several, to compare plans.
 */
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import { withChatTemplate } from "../../../data/files/chat-template-file.ts";
import { type StepPlan, planSteps } from "../../../data/batches/order.ts";
import { UsageError } from "../../../errors.ts";
import { openCheckpoint } from "../../../format/by-path.ts";
import type { Checkpoint } from "../../../format/checkpoint/checkpoint.ts";
import { withQuantizedBase } from "../../../format/checkpoint/quantized-base.ts";
import { keptIn } from "../../../format/checkpoint/load-model.ts";
import { resolveModel } from "../../../hub/resolve.ts";
import { parseSettings } from "../../../messages/problems.ts";
import { openModel } from "../../../models/families.ts";
import type { Model } from "../../../models/model.ts";
import { COMPUTES } from "../../../nn/computes.ts";
import { f32 } from "../../../nn/computes/f32.ts";
import type { Optimizer } from "../../../optim/optimizer.ts";
import { findOptimizer } from "../../../optim/optimizers.ts";
import { findSchedule } from "../../../optim/schedules.ts";
import {
  type AttachRequest,
  type Layout,
  type Preview,
  layOut,
  previewLayout,
} from "../../../peft/layout.ts";
import { keepsCodes, type Method, trainsRole } from "../../../peft/method.ts";
import { METHODS, findMethod } from "../../../peft/methods.ts";
import { requireMatchedPatterns } from "../../../peft/sites/targets.ts";
import type { Residency } from "../../../run/weights/weights.ts";
import type { DropPlan } from "../../dropbp/branch-dropper.ts";
import { SENSITIVITIES } from "../../dropbp/sensitivity.ts";
import { findEvalMetric } from "../../eval-metrics.ts";
import { suitableLearningRate, suitableWarmup } from "../../settings/learning-rate.ts";
import type { ChosenObjective } from "../../step/objective-step.ts";
import { defaultObjective, findObjective } from "../../objectives.ts";
import { requireSource } from "../../power/options.ts";
import { requireManyAtOnce } from "../../settings/data-parallel.ts";
import {
  type TrainOptions,
  methodOptions,
  objectiveOptions,
  optimizerOptions as ownOptimizerOptions,
} from "../../settings/options.ts";
import { readRunData } from "../data/read-run-data.ts";
import type { ReadingHooks, RunData } from "../data/run-data.ts";
import { trainFreshHead, withRunClasses } from "./class-head.ts";
import { readModules } from "./first-adapter.ts";

const DEFAULT_EPOCHS = 3;
const DEFAULT_SENSITIVITY = "norm";

/** Settings with what the model and the length of the run decide where the user does not. */
export type SettledOptions = TrainOptions & { readonly learningRate: number; readonly warmupSteps: number };

/** How frozen weights are kept: what is rounded for an arithmetic is rounded once. */
export function residencyOf({ compute, weights }: TrainOptions): Residency {
  return COMPUTES[compute] === f32 ? weights : "float32";
}

/** A run whose model is open and whose data are read. */
export interface OpenedRun {
  readonly path: string;
  /** To be closed by whoever opened it. */
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  /** Those that an adapter to start from may be of. */
  readonly methods: readonly Method[];
  readonly data: RunData;
}

/** A run with settings that fit it. */
export interface PreparedRun {
  readonly options: SettledOptions;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  readonly data: RunData;
  readonly method: Method;
  /** What is to be put on the model, and what that makes. */
  readonly request: AttachRequest;
  readonly layout: Layout;
  readonly preview: Preview;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  readonly optimizer: Optimizer;
  readonly optimizerOptions: unknown;
  readonly objective: ChosenObjective;
  readonly dropBp: DropPlan | null;
}

/** Opens the model and reads the data. @throws errors of settings, model and data */
export async function openRun(
  options: TrainOptions,
  methods: readonly Method[] = METHODS,
  hooks: ReadingHooks = {},
): Promise<OpenedRun> {
  // What is wrong with these is told before anything is read.
  optimizerOf(options);
  methodOptions(options, methods);
  requireFrozenBase(options, methods);
  requireManyAtOnce(options);
  requireSource(options);
  const { path } = await resolveModel(options.model, hooks.env ? { env: hooks.env } : {});
  const opened = await openCheckpoint(path);
  try {
    const classes = await withRunClasses(options, withChatTemplate(opened, options.chatTemplate));
    const checkpoint = withQuantizedBase(classes.checkpoint, options.base);
    const model = openModel(checkpoint.config);
    const { objective } = chooseObjective(options, model);
    dropPlan(options);
    findEvalMetric(options.evalMetric, objective);
    const data = await readRunData(options, model, objective, checkpoint.tokenizerFiles, hooks);
    if ((options.earlyStopping ?? options.evalMetric) !== undefined && data.heldOut === null) {
      const aim = options.earlyStopping === undefined ? "keep the best checkpoint" : "stop early";
      throw new UsageError("usage/flag", `Cannot ${aim}: there is no held-out data to evaluate on`, {
        hint: "Give --eval-data or --eval-share, or a data folder with valid.jsonl.",
      });
    }
    const notes = [...idleComputeNotes(options, methods), ...classes.notes, ...data.notes];
    return { path, checkpoint, model, methods, data: { ...data, notes } };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Settles the settings of an opened run. @throws errors of settings */
export function settleRun(
  { checkpoint, model, methods, data }: OpenedRun,
  options: TrainOptions,
): PreparedRun {
  const method = findMethod(options.method, methods);
  const ofMethod = trainFreshHead(checkpoint, method, methodOptions(options, methods));
  const { optimizer, optimizerOptions } = optimizerOf(options);
  const objective = chooseObjective(options, model);
  const targets = {
    modules: readModules(options.targetModules),
    exclude: [],
    layers: options.layers ?? null,
  };
  const plan = planSteps({ ...options, examples: data.train, sources: data.sources });
  const totalSteps =
    options.steps ?? Math.max(1, Math.round((options.epochs ?? DEFAULT_EPOCHS) * plan.stepsPerEpoch));
  const request = { method, options: ofMethod, targets };
  const layout = layOut(model, keptIn(checkpoint), request);
  const preview = previewLayout(layout);
  const parsed = method.options.parse(ofMethod);
  const { width } = model;
  const rateOf = { method, methodOptions: parsed, optimizer, objective: objective.objective, width };
  const settled = {
    ...options,
    learningRate: options.learningRate ?? suitableLearningRate(rateOf),
    warmupSteps: options.warmupSteps ?? suitableWarmup(findSchedule(options.schedule), totalSteps),
  };
  requireShortWarmup(options, totalSteps);
  requireMatchedPatterns(parsed, preview.paths);
  return {
    options: settled,
    model,
    checkpoint,
    data,
    method,
    request,
    layout,
    preview,
    plan,
    totalSteps,
    optimizer,
    optimizerOptions,
    objective,
    dropBp: dropPlan(options),
  };
}

/** Whether a method leaves the matrices of the base and the codes that it has alone. */
export function keepsBaseFrozen(method: Method): boolean {
  return !trainsRole(method, "weight") && !keepsCodes(method);
}

/** Refuses methods that change the base itself, or the codes that it has. @throws UsageError "usage/flag" */
function requireFrozenBase({ base, method: name }: TrainOptions, methods: readonly Method[]): void {
  const method = findMethod(name, methods);
  if (base === undefined || keepsBaseFrozen(method)) return;
  const frozen = methods.filter(keepsBaseFrozen).map((other) => other.name);
  const trainsMatrices = trainsRole(method, "weight");
  const found = trainsMatrices
    ? "the method trains its matrices"
    : "the method makes codes of its own, or trains the scales of those that files have";
  throw new UsageError(
    "usage/flag",
    `Cannot use base ${base} with method "${name}": ${found}, expected a frozen base`,
    { hint: `Leave base out, or choose one of ${frozen.join(", ")}.` },
  );
}

/** Says of an arithmetic of products with frozen matrices that a method leaves none frozen. */
function idleComputeNotes({ compute, method: name }: TrainOptions, methods: readonly Method[]): string[] {
  if (COMPUTES[compute] === f32 || !trainsRole(findMethod(name, methods), "weight")) return [];
  return [
    `Compute "${compute}" changes nothing here: it is for products with frozen matrices, and method "${name}" trains them all in float32`,
  ];
}

function optimizerOf(options: TrainOptions): Pick<PreparedRun, "optimizer" | "optimizerOptions"> {
  const optimizer = findOptimizer(options.optimizer);
  const what = `options of optimizer "${optimizer.name}"`;
  return {
    optimizer,
    optimizerOptions: parseSettings(optimizer.options, ownOptimizerOptions(options), what),
  };
}

/** How branches are dropped; null: they are not. @throws UsageError "usage/flag" */
function dropPlan({ dropbp, dropbpRates, maxLength }: TrainOptions): DropPlan | null {
  if (dropbp === undefined && dropbpRates !== undefined) {
    throw new UsageError("usage/flag", `Cannot use dropbpRates "${dropbpRates}": no dropbp is given`, {
      hint: "Give --dropbp, the share of the backward pass that is left out.",
    });
  }
  if (dropbp === undefined || dropbp === 0) return null;
  const sensitivity = SENSITIVITIES.find(({ name }) => name === (dropbpRates ?? DEFAULT_SENSITIVITY)) ?? null;
  return { rate: dropbp, sensitivity, length: maxLength };
}

/** Refuses a warm-up in which the run ends: it would never have the learning rate that was asked for. @throws UsageError "usage/flag" */
function requireShortWarmup({ warmupSteps = 0 }: TrainOptions, totalSteps: number): void {
  if (warmupSteps < totalSteps || warmupSteps === 0) return;
  throw new UsageError(
    "usage/flag",
    `Cannot warm up over ${warmupSteps} steps: the run has ${totalSteps}, expected fewer`,
    { hint: "Choose fewer warm-up steps, or train for longer." },
  );
}

/** The objective that is asked for, or that of what the model is for. @throws UsageError "usage/flag" */
function chooseObjective(options: TrainOptions, { task }: Model): ChosenObjective {
  const chosen = options.objective === undefined ? defaultObjective(task) : findObjective(options.objective);
  return {
    objective: chosen,
    options: parseSettings(
      chosen.options,
      objectiveOptions(options, chosen.name),
      `options of objective "${chosen.name}"`,
    ),
  };
}

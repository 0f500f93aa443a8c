/** @file Resolves choices in settings, and refuses invalid combinations: optimizer, objective, arithmetic, branches to drop. */
import { UsageError } from "../../../errors.ts";
import { parseSettings } from "../../../messages/problems.ts";
import { kebabCase } from "../../../messages/setting-names.ts";
import { formatCountOf } from "../../../messages/numbers.ts";
import type { Model } from "../../../models/model.ts";
import { isExact } from "../../../nn/computes.ts";
import type { Optimizer } from "../../../optim/optimizer.ts";
import { findOptimizer } from "../../../optim/optimizers.ts";
import { type Method, keepsCodes, trainsRole } from "../../../peft/method.ts";
import { findMethod } from "../../../peft/methods.ts";
import type { Residency } from "../../../run/weights/weights.ts";
import type { DropPlan } from "../../dropbp/branch-dropper.ts";
import { requireKeptBranch } from "../../dropbp/branch-list.ts";
import { DEFAULT_SENSITIVITY, SENSITIVITIES } from "../../dropbp/sensitivity.ts";
import type { Objective } from "../../objective.ts";
import { defaultObjective, findObjective } from "../../objectives.ts";
import {
  type SizedOptions,
  type TrainOptions,
  objectiveOptions,
  optimizerOptions,
} from "../../settings/options.ts";
import { keysOf } from "../../settings/own-options.ts";
import { SETTINGS } from "../../settings/setting-groups.ts";
import type { RunData } from "../data/run-data.ts";
import type { ChosenObjective } from "../../step/objective-step.ts";

/** How frozen weights are held: weights rounded for an arithmetic are held ready, so that they are rounded once. */
export function residencyOf({ compute, weights }: TrainOptions): Residency {
  return isExact(compute) ? weights : "float32";
}

/** Whether a method neither trains the matrices of the base nor keeps their codes. */
export function keepsBaseFrozen(method: Method): boolean {
  return !trainsRole(method, "weight") && !keepsCodes(method);
}

/** Refuses options that leave a fresh adapter nothing to learn. @throws UsageError "usage/flag" */
export function requireSomethingTrained(
  { initAdapter }: Pick<TrainOptions, "initAdapter">,
  method: Method,
  numTrained: number,
): void {
  if (numTrained > 0 || initAdapter !== undefined) return;
  const own = keysOf(method).map((key) => `--${kebabCase(key)}`);
  throw new UsageError(
    "usage/flag",
    `Cannot train with method "${method.name}": nothing is selected for it to train, expected some modules`,
    { hint: own.length > 0 ? `Its options are ${own.join(", ")}.` : "Choose another method." },
  );
}

/** Refuses to round the base for methods that train its matrices or keep its codes. @throws UsageError "usage/flag" */
export function requireFrozenBase(
  { base, method: name }: Pick<TrainOptions, "base" | "method">,
  methods: readonly Method[],
): void {
  const method = findMethod(name, methods);
  if (base === undefined || keepsBaseFrozen(method)) return;
  const frozen = methods.filter(keepsBaseFrozen).map((other) => other.name);
  const trainsMatrices = trainsRole(method, "weight");
  const found = trainsMatrices
    ? "the method trains its matrices"
    : "the method quantizes by itself, or trains the scales of quantized files";
  throw new UsageError(
    "usage/flag",
    `Cannot use --base ${base} with method "${name}": ${found}, expected a frozen base`,
    { hint: `Leave --base out, or choose one of ${frozen.join(", ")}.` },
  );
}

/** Notes that `compute` has no effect because the method leaves no matrix frozen. */
export function idleComputeNotes(
  { compute, method: name }: TrainOptions,
  methods: readonly Method[],
): string[] {
  if (isExact(compute) || !trainsRole(findMethod(name, methods), "weight")) return [];
  return [
    `Compute "${compute}" has no effect here: it applies to frozen matrices, and method "${name}" trains all of them in float32`,
  ];
}

/** Notes that settings of evaluations or samples have no effect. */
export function idleEvaluationNotes(
  { evalEvery, samples, sampleTokens }: TrainOptions,
  { heldOut }: Pick<RunData, "heldOut">,
): string[] {
  if (samples !== undefined) return [];
  const idle =
    sampleTokens === SETTINGS.sampleTokens.parse(undefined)
      ? []
      : [
          `Samples of ${formatCountOf(sampleTokens, "token")} are not generated: no prompts are given (--samples)`,
        ];
  if (evalEvery === undefined || heldOut !== null) return idle;
  return [
    ...idle,
    `Evaluations every ${formatCountOf(evalEvery, "step")} have no effect here: there is no held-out data, and no samples are requested`,
  ];
}

/** The optimizer of the settings, with its options. @throws UsageError "usage/flag" */
export function optimizerOf(options: TrainOptions): {
  readonly optimizer: Optimizer;
  readonly optimizerOptions: unknown;
} {
  const optimizer = findOptimizer(options.optimizer);
  const what = `options of optimizer "${optimizer.name}"`;
  return { optimizer, optimizerOptions: parseSettings(optimizer.options, optimizerOptions(options), what) };
}

/** How branches are dropped; null: none are. @throws UsageError "usage/flag" */
export function dropPlan({ dropbp, dropbpRates, maxLength }: SizedOptions, model: Model): DropPlan | null {
  if (dropbp === undefined && dropbpRates !== undefined) {
    throw new UsageError("usage/flag", `Cannot use --dropbp-rates ${dropbpRates}: no --dropbp is given`, {
      hint: "Give --dropbp, the share of the backward pass to skip.",
    });
  }
  if (dropbp === undefined || dropbp === 0) return null;
  requireKeptBranch(model, dropbp);
  const rates = dropbpRates ?? DEFAULT_SENSITIVITY.name;
  const sensitivity = SENSITIVITIES.find(({ name }) => name === rates) ?? null;
  return { rate: dropbp, sensitivity, length: maxLength };
}

/** Refuses a warm-up as long as the run, which would never reach the given learning rate. @throws UsageError "usage/flag" */
export function requireShortWarmup({ warmupSteps = 0 }: TrainOptions, totalSteps: number): void {
  if (warmupSteps < totalSteps || warmupSteps === 0) return;
  throw new UsageError(
    "usage/flag",
    `Cannot warm up over ${warmupSteps} steps: the run has ${totalSteps}, expected fewer`,
    { hint: "Choose fewer warm-up steps, or train for longer." },
  );
}

/** Refuses samples for a model that does not write texts. @throws UsageError "usage/flag" */
export function requireWriter(
  { samples }: Pick<TrainOptions, "samples">,
  { task, hasVocabularyHead }: Model,
): void {
  if (samples === undefined || hasVocabularyHead) return;
  throw new UsageError(
    "usage/flag",
    `Cannot write samples: the model is for ${task}, expected one that writes text`,
    { hint: "Leave --samples out." },
  );
}

/** The objective of the settings, or the default for the model. @throws UsageError "usage/flag" */
export function chooseObjective(
  options: TrainOptions,
  model: Model,
  objectives: readonly Objective[],
): ChosenObjective {
  const { objective: name } = options;
  const chosen = name === undefined ? defaultObjective(model) : findObjective(name, objectives);
  return {
    objective: chosen,
    options: objectiveOptions(options, chosen, objectives),
  };
}

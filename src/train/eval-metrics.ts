/** @file The list of metrics by which a run can choose its best checkpoint. */
import { UsageError } from "../errors.ts";
import type { Objective } from "./objective.ts";

/** The facts of an objective that decide which metrics it has. */
type Measured = Pick<Objective, "rows" | "hasPerplexity">;

/** What an evaluation has found, of which the numbers of metrics are made. */
interface EvalFindings {
  readonly loss: number;
  /** What the model says beside what is right; null: nobody has looked at it. */
  readonly predictions:
    | {
        readonly [K in "accuracy" | "macroF1" | "microF1" | "pearson" | "spearman"]?: number;
      }
    | null;
  /** What the objective tells. */
  readonly metrics: Readonly<Record<string, number>>;
}

export interface EvalMetric {
  readonly name: string;
  /** Its name in the events of evaluations. */
  readonly key: string;
  readonly better: "lower" | "higher";
  /** Whether it is a share, which people are told in percent. */
  readonly isShare: boolean;
  /** Whether evaluations of an objective tell it. */
  isOf(objective: Measured): boolean;
  /** Whether the likeliest tokens or classes are looked at, which takes the logits of all labels. */
  readonly needsPredictions: boolean;
  /** Its number; NaN: there is none. `predictions` are there where it needs them. */
  valueOf(found: EvalFindings): number;
}

export const LOSS: EvalMetric = {
  name: "loss",
  key: "loss",
  better: "lower",
  isShare: false,
  isOf: () => true,
  needsPredictions: false,
  valueOf: ({ loss }) => loss,
};

export const EVAL_METRICS: readonly EvalMetric[] = [
  LOSS,
  // e to the power of the loss.
  {
    name: "perplexity",
    key: "perplexity",
    better: "lower",
    isShare: false,
    isOf: ({ hasPerplexity = false }) => hasPerplexity,
    needsPredictions: false,
    valueOf: ({ loss }) => Math.exp(loss),
  },
  // Share of the learned tokens that are the likeliest, each with its weight.
  {
    name: "token-accuracy",
    key: "token_accuracy",
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === "text",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.accuracy ?? NaN,
  },
  // Share of the examples whose likeliest class is their own.
  {
    name: "accuracy",
    key: "accuracy",
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === "classes",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.accuracy ?? NaN,
  },
  // Mean over the classes of F1, which is 2TP / (2TP + FP + FN).
  {
    name: "macro-f1",
    key: "macro_f1",
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === "classes",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.macroF1 ?? NaN,
  },
  // F1 of all classes of all examples together.
  {
    name: "micro-f1",
    key: "micro_f1",
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === "labels",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.microF1 ?? NaN,
  },
  // The mean of squared errors, which is the loss.
  {
    name: "mse",
    key: "mse",
    better: "lower",
    isShare: false,
    isOf: ({ rows }) => rows === "numbers",
    needsPredictions: false,
    valueOf: ({ loss }) => loss,
  },
  {
    name: "pearson",
    key: "pearson",
    better: "higher",
    isShare: false,
    isOf: ({ rows }) => rows === "numbers",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.pearson ?? NaN,
  },
  {
    name: "spearman",
    key: "spearman",
    better: "higher",
    isShare: false,
    isOf: ({ rows }) => rows === "numbers",
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.spearman ?? NaN,
  },
  // Share of the pairs whose chosen answer has the higher reward.
  {
    name: "reward-accuracy",
    key: "rewards/accuracies",
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === "preference",
    needsPredictions: false,
    valueOf: ({ metrics }) => metrics["rewards/accuracies"] ?? NaN,
  },
];

/** The name of a number of an evaluation: that of its metric, or its own. */
export function nameOfNumber(key: string): string {
  return EVAL_METRICS.find((one) => one.key === key)?.name ?? key;
}

/** Finds the metric of a run. @throws UsageError "usage/flag" for one that the objective does not have */
export function findEvalMetric(name: string | undefined, objective: Objective): EvalMetric {
  const metric = name === undefined ? LOSS : EVAL_METRICS.find((one) => one.name === name);
  if (metric?.isOf(objective) === true) return metric;
  const expected = EVAL_METRICS.filter((one) => one.isOf(objective)).map((one) => one.name);
  throw new UsageError(
    "usage/flag",
    `Cannot use eval metric "${name}" with objective "${objective.name}": expected one of ${expected.join(", ")}`,
    { hint: "Choose one of these, or leave the metric out." },
  );
}

/** The numbers of an objective's metrics by their keys, but those for which nobody has looked at predictions. */
export function metricsOf(objective: Measured, found: EvalFindings): Record<string, number> {
  const told = EVAL_METRICS.filter(
    (one) => one.isOf(objective) && (!one.needsPredictions || found.predictions !== null),
  );
  return Object.fromEntries(told.map((one) => [one.key, one.valueOf(found)]));
}

/** Whether a value is better than the best so far; NaN never is. */
export function isBetter({ better }: EvalMetric, value: number, best: number | null): boolean {
  if (best === null) return !Number.isNaN(value);
  return better === "lower" ? value < best : value > best;
}

/** Whether the result of a run is its best checkpoint. */
export function keepsBest({
  patience,
  keepsBest: isAsked = false,
}: {
  readonly patience: number | null;
  readonly keepsBest?: boolean;
}): boolean {
  return isAsked || patience !== null;
}

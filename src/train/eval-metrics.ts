/** @file The list of metrics by which a run can choose its best checkpoint. */
import { UsageError } from "../errors.ts";
import type { Objective } from "./objective.ts";

/** The facts of an objective that decide which metrics it has. */
type Measured = Pick<Objective, "rows" | "hasPerplexity">;

type Prediction = "accuracy" | "macroF1" | "microF1" | "pearson" | "spearman";

/** The results of an evaluation, from which metrics are computed. */
interface EvalFindings {
  readonly loss: number;
  /** Metrics of predictions against labels; null: not computed. */
  readonly predictions: { readonly [K in Prediction]?: number } | null;
  /** Metrics of the objective. */
  readonly metrics: Readonly<Record<string, number>>;
}

export interface EvalMetric {
  readonly name: string;
  /** Its key in evaluation events. */
  readonly key: string;
  readonly better: "lower" | "higher";
  /** Whether it is a share, shown to people in percent. */
  readonly isShare: boolean;
  /** Whether evaluations of an objective include it. */
  isOf(objective: Measured): boolean;
  /** Whether it is computed from the likeliest tokens or classes, which takes the logits of all labels. */
  readonly needsPredictions: boolean;
  /** Its value; NaN: there is none. `predictions` is not null if `needsPredictions`. */
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

/** A share computed from predictions and labels, for objectives with such rows. */
function predicted(name: string, ofRows: Measured["rows"], number: Prediction): EvalMetric {
  return {
    name,
    key: name.replace("-", "_"),
    better: "higher",
    isShare: true,
    isOf: ({ rows }) => rows === ofRows,
    needsPredictions: true,
    valueOf: ({ predictions }) => predictions?.[number] ?? NaN,
  };
}

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
  predicted("token-accuracy", "text", "accuracy"),
  // Share of the examples whose likeliest class is their own.
  predicted("accuracy", "classes", "accuracy"),
  // Mean over the classes of F1, which is 2TP / (2TP + FP + FN).
  predicted("macro-f1", "classes", "macroF1"),
  // F1 of all classes of all examples together.
  predicted("micro-f1", "labels", "microF1"),
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
  { ...predicted("pearson", "numbers", "pearson"), isShare: false },
  { ...predicted("spearman", "numbers", "spearman"), isShare: false },
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

/** The name of a number in an evaluation event: that of its metric, or else its key. */
export function nameOfNumber(key: string): string {
  return EVAL_METRICS.find((one) => one.key === key)?.name ?? key;
}

/** Finds a metric by name, by default the loss. @throws UsageError "usage/flag" for one that the objective does not have */
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

/** The values of an objective's metrics by key, without those whose predictions were not computed. */
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

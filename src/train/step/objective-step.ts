/**
 * @file Loss and gradients of one step by an objective, micro-batch by micro-batch, on one lane or on several at once.
 *
 * An objective whose gradient is known beforehand takes one pass over a micro-batch. Any other first receives the log-probabilities
 * of a pass; a second pass, with the same dropout, carries its gradient back.
 *
 * Lanes share nothing that changes: each collects its own gradients, which are added in the order of the lanes when all are done.
 */
import type { Batch } from "../../data/batches/batch.ts";
import type { TrainingUnit } from "../../data/examples/training-unit.ts";
import { UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import type { Objective, Outcome, Scores, StepTotals } from "../objective.ts";
import { MEASURED_FIELDS } from "../events.ts";
import type { Lane, Lanes } from "./lanes.ts";
import { type MicroBatchKey, mismatchedBatches } from "./micro-batch.ts";
import type { Scorer } from "./scorer.ts";
import { countStep, estimateDivergence } from "./sequence-scores.ts";
import type { MicroBatchRunner } from "./step-runner.ts";

export interface ChosenObjective {
  readonly objective: Objective;
  /** The options of the objective, parsed by its schema. */
  readonly options: unknown;
}

/**
 * Asks an objective for a micro-batch's share of a step, and checks the outcome: a user's own objective may return anything.
 * @throws UsageError "usage/flag" for an invalid outcome
 */
export function outcomeOf(
  { objective, options }: ChosenObjective,
  scores: Scores,
  totals: StepTotals,
): Outcome {
  const outcome: Partial<Record<keyof Outcome, unknown>> = objective.evaluate(scores, totals, options) ?? {};
  const { loss, gradient, metrics } = outcome;
  const { length } = scores.logProbs;
  const wrong =
    typeof loss !== "number"
      ? `loss is ${showValue(loss)}, expected a number`
      : !(gradient instanceof Float32Array)
        ? `gradient is ${showValue(gradient)}, expected a Float32Array`
        : gradient.length !== length
          ? `gradient has ${gradient.length} numbers, expected ${length}, one for each log-probability`
          : typeof metrics !== "object" || metrics === null
            ? `metrics is ${showValue(metrics)}, expected an object with numbers`
            : wrongMetric(metrics);
  if (wrong === null) return outcome as Outcome;
  throw new UsageError("usage/flag", `Cannot use objective "${objective.name}": its ${wrong}`, {
    hint: "Have evaluate() return { loss, gradient, metrics }, as in Outcome.",
  });
}

/** Describes the first metric that is no number or has the name of an event's own field; null: all are fine. */
function wrongMetric(metrics: object): string | null {
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value !== "number") return `metric "${name}" is ${showValue(value)}, expected a number`;
    if (MEASURED_FIELDS.includes(name))
      return `metric "${name}" has the name of a field of events, expected another name`;
  }
  return null;
}

/** Examples that run in one pass. */
export interface MicroBatch {
  readonly units: readonly TrainingUnit[];
  /** The same units, laid out. */
  readonly batch: Batch;
}

/** What one step runs over. */
interface StepWork {
  /** Number of the step, counted from 0. Dropout is drawn by it. */
  readonly step: number;
  readonly microBatches: readonly MicroBatch[];
  /** Most tokens of an example: some objectives combine prompts with other answers. */
  readonly maxLength: number;
}

/** The sums over the micro-batches of a step. */
export interface StepOutcome {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Tokens that are not padding. */
  readonly numTokens: number;
  /** Whether the loss depends on no token of the step, for example because its labels have weight 0. */
  readonly isFlat: boolean;
}

/** Adds the metrics of one part of a step to the sums. */
export function addMetrics(sums: Record<string, number>, metrics: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(metrics)) sums[name] = (sums[name] ?? 0) + value;
}

/** Estimates the divergence of the model from its reference on the prompts of some batches, if the objective needs it; otherwise 0. */
export async function divergenceOf(
  { needs }: Pick<Objective, "needs">,
  scorer: Pick<Scorer, "scores">,
  batches: readonly (readonly TrainingUnit[])[],
  maxLength: number,
): Promise<number> {
  if (!needs.includes("mismatched")) return 0;
  const mismatched: Scores[] = [];
  for (const batch of mismatchedBatches(batches, maxLength)) mismatched.push(await scorer.scores(batch));
  return estimateDivergence(mismatched);
}

/**
 * Runs the micro-batches of one step, assigned to the lanes in rotation; afterwards the first lane has the sum of all gradients.
 * `begin` is called before each micro-batch.
 */
export async function runStep(
  lanes: Lanes<MicroBatchRunner>,
  chosen: ChosenObjective,
  { step, microBatches, maxLength }: StepWork,
  begin: (key: MicroBatchKey, lane: number) => void = () => {},
): Promise<StepOutcome> {
  const { objective } = chosen;
  const [{ steps: first, scorer }, ...others] = lanes;
  for (const { steps } of lanes) steps.gradients.begin();
  const units = microBatches.map((each) => each.units);
  const totals = {
    ...countStep(microBatches.map(({ batch }) => batch)),
    divergence: await divergenceOf(objective, scorer, units, maxLength),
  };
  const outcomes: Outcome[] = [];
  const failures: unknown[] = [];
  const runLane = async ({ steps, scorer }: Lane<MicroBatchRunner>, lane: number): Promise<void> => {
    for (let micro = lane; micro < microBatches.length && failures.length === 0; micro += lanes.length) {
      const { batch } = microBatches[micro]!;
      const key = { step, micro };
      begin(key, lane);
      const reference = await scorer.reference(batch);
      const evaluate = (logProbs: Float32Array): Outcome =>
        outcomeOf(chosen, { ...batch, logProbs, reference }, totals);
      const before = objective.isSeparable
        ? new Float32Array(batch.numLabels)
        : await steps.logProbs(batch, key);
      const { gradient } = evaluate(before);
      const isLast = lanes.length === 1 && micro === microBatches.length - 1;
      outcomes[micro] = evaluate(await steps.accumulate(batch, gradient, key, { isLast }));
    }
  };
  // Waits for every lane, even when one fails: a lane still running uses memory that is reused afterwards.
  await Promise.all(lanes.map((lane, i) => runLane(lane, i).catch((error: unknown) => failures.push(error))));
  if (failures.length > 0) throw failures[0];
  for (const { steps } of others) await first.gradients.addAll(steps.gradients);
  const metrics: Record<string, number> = {};
  for (const outcome of outcomes) addMetrics(metrics, outcome.metrics);
  return {
    loss: outcomes.reduce((sum, outcome) => sum + outcome.loss, 0),
    metrics,
    numTokens: microBatches.reduce((sum, { batch }) => sum + batch.numTokens, 0),
    isFlat: outcomes.every(({ gradient }) => gradient.every((value) => value === 0)),
  };
}

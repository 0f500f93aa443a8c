/**
 * @file Loss and gradients of one step by an objective, micro-batch by micro-batch.
 *
 * An objective whose gradient is known beforehand takes one pass over a micro-batch; another is shown the
 * log-probabilities first, and the second pass, with the same dropout, carries its gradient back.
 */
import type { Batch } from "../../data/batches/batch.ts";
import type { TrainingUnit } from "../../data/examples/training-unit.ts";
import { factsOf, labelledPositions } from "../../data/batches/pass-facts.ts";
import type { Adapter } from "../../peft/attach.ts";
import { type BetweenBlocks, ForwardPass } from "../../run/forward-pass.ts";
import type { Session } from "../../run/session.ts";
import { mismatchedBatches } from "./micro-batch.ts";
import type { Objective, Scores } from "../objective.ts";
import { type PredictionCounts, predict } from "./predictions.ts";
import { countStep, estimateDivergence } from "./sequence-scores.ts";
import type { MicroBatchKey, StepRunner } from "./step-runner.ts";

/** An objective with its options. */
export interface ChosenObjective {
  readonly objective: Objective;
  /** As its schema gives them. */
  readonly options: unknown;
}

/** What runs at a time. */
export interface MicroBatch {
  readonly units: readonly TrainingUnit[];
  /** The same, laid out. */
  readonly batch: Batch;
}

/** What one step runs over. */
export interface StepWork {
  /** From 0: dropout is drawn by it. */
  readonly step: number;
  readonly microBatches: readonly MicroBatch[];
  /** Tokens of an example at most: some objectives put prompts and answers together anew. */
  readonly maxLength: number;
}

/** What the micro-batches of a step add up to. */
export interface StepOutcome {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Tokens that are not padding. */
  readonly numTokens: number;
}

/** What is scored without gradients. */
export interface ScorerParts {
  /** In training; null: the base alone. */
  readonly adapter: Adapter | null;
  /** What training started from, which never changes; null: the base alone. */
  readonly reference: Adapter | null;
}

/** Log-probabilities of labels without gradients: by the model in training, and by what it started from. */
export class Scorer {
  readonly #policy: ForwardPass;
  readonly #reference: ForwardPass | null;

  private constructor(policy: ForwardPass, reference: ForwardPass | null) {
    this.#policy = policy;
    this.#reference = reference;
  }

  /** Compiles what is not tied to a block, as far as the objective needs it. */
  static async create(
    session: Session,
    parts: ScorerParts,
    { needs }: Objective,
    betweenBlocks?: BetweenBlocks,
  ): Promise<Scorer> {
    const pass = (adapter: Adapter | null): Promise<ForwardPass> =>
      ForwardPass.create(session, adapter, betweenBlocks);
    const isAsked = needs.includes("reference");
    return new Scorer(await pass(parts.adapter), isAsked ? await pass(parts.reference) : null);
  }

  /** Log-probabilities by what training started from, [N]; null where the objective does not need them. */
  async reference(batch: Batch): Promise<Float32Array | null> {
    return this.#reference && (await logProbsBy(this.#reference, batch));
  }

  /** Both log-probabilities, without dropout; the likeliest of each labelled position goes to `counts`. */
  async scores(batch: Batch, counts: PredictionCounts | null = null): Promise<Scores> {
    const logProbs = await logProbsBy(this.#policy, batch, counts);
    return { ...batch, logProbs, reference: await this.reference(batch) };
  }
}

async function logProbsBy(
  pass: ForwardPass,
  batch: Batch,
  counts: PredictionCounts | null = null,
): Promise<Float32Array> {
  const logProbs = new Float32Array(batch.numLabels);
  const labelled = labelledPositions(batch);
  await pass.run(batch.input, factsOf(batch), async (x) => {
    await pass.labelHead.logProbs(x, labelled, logProbs);
    if (counts)
      counts.add(await predict(pass.session, pass.head, x, labelled), labelled.labels, batch.weights);
  });
  return logProbs;
}

/** Adds the metrics of a part of a step to those of the parts before. */
export function addMetrics(sums: Record<string, number>, metrics: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(metrics)) sums[name] = (sums[name] ?? 0) + value;
}

/** What runs a micro-batch, and collects its gradients. */
export type MicroBatchRunner = Pick<StepRunner, "logProbs" | "accumulate">;

/** Runs the micro-batches of one step; gradients are those that `steps` collects. `begin` is told of each micro-batch. */
export async function runStep(
  steps: MicroBatchRunner,
  scorer: Scorer,
  { objective, options }: ChosenObjective,
  { step, microBatches, maxLength }: StepWork,
  begin: (key: MicroBatchKey) => void = () => {},
): Promise<StepOutcome> {
  const mismatched: Scores[] = [];
  if (objective.needs.includes("mismatched")) {
    const units = microBatches.map((each) => each.units);
    for (const batch of mismatchedBatches(units, maxLength)) mismatched.push(await scorer.scores(batch));
  }
  const totals = {
    ...countStep(microBatches.map(({ batch }) => batch)),
    divergence: estimateDivergence(mismatched),
  };
  const metrics: Record<string, number> = {};
  let [loss, numTokens] = [0, 0];
  for (const [micro, { batch }] of microBatches.entries()) {
    const key = { step, micro };
    begin(key);
    const reference = await scorer.reference(batch);
    const evaluate = (logProbs: Float32Array) =>
      objective.evaluate({ ...batch, logProbs, reference }, totals, options);
    const before = objective.isSeparable
      ? new Float32Array(batch.numLabels)
      : await steps.logProbs(batch, key);
    const { gradient } = evaluate(before);
    const isLast = micro === microBatches.length - 1;
    const outcome = evaluate(await steps.accumulate(batch, gradient, key, isLast));
    loss += outcome.loss;
    addMetrics(metrics, outcome.metrics);
    numTokens += batch.numTokens;
  }
  return { loss, metrics, numTokens };
}

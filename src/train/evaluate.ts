/**
 * @file Computes the loss of a model on examples by an objective, without gradients. Examples of similar length share a pass.
 */
import { z } from "zod";
import { AN_OBJECTIVE } from "./objective.ts";
import { DATA_KINDS } from "../data/examples/data-kinds.ts";
import { type TrainingUnit, UNIT_LIST, exampleLength } from "../data/examples/training-unit.ts";
import { A_CHOICE, A_FUNCTION, ANYTHING, checkArguments, lazily } from "../messages/arguments.ts";
import { type Adapter, AN_ADAPTER } from "../peft/attach.ts";
import { requireOwnBase } from "../peft/own-base.ts";
import type { BetweenBlocks } from "../run/blocks/forward-blocks.ts";
import { A_SESSION, type Session } from "../run/session.ts";
import { requireLearnable } from "./loop/readable.ts";
import { layUnits } from "./step/micro-batch.ts";
import { type ChosenObjective, addMetrics, divergenceOf, outcomeOf } from "./step/objective-step.ts";
import { metricsOf } from "./eval-metrics.ts";
import { Scorer } from "./step/scorer.ts";
import { crossEntropy } from "./objectives/cross-entropy.ts";
import { factsOf } from "../models/config/classifier-config.ts";
import { PredictionCounts } from "./step/predictions.ts";
import { TargetPairs } from "./step/target-pairs.ts";
import { countStep } from "./step/sequence-scores.ts";

/** Mean loss over all examples. */
export interface Evaluation {
  readonly loss: number;
  /** e to the power of the loss; absent unless the objective has a perplexity. */
  readonly perplexity?: number;
  /** Predicted tokens, or classes. */
  readonly tokens: number;
  /** The other metrics of the objective, by TRL's names, and those that checkpoints can be chosen by, by their keys. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Tokens of one pass: enough rows to keep the processor busy, few enough for small memory. */
const PASS_TOKENS = 1024;

export const NEXT_TOKEN: ChosenObjective = { objective: crossEntropy, options: {} };

const ARGUMENTS = lazily(() =>
  z.strictObject({
    session: A_SESSION,
    adapter: AN_ADAPTER.nullable(),
    options: z.strictObject({
      objective: z.strictObject({ objective: AN_OBJECTIVE, options: ANYTHING }).optional(),
      reference: AN_ADAPTER.nullish(),
      betweenBlocks: A_FUNCTION.optional(),
    }),
  }),
);
const EXAMPLES = lazily(() =>
  z.strictObject({
    units: UNIT_LIST.min(1),
    options: z.strictObject({ onProgress: A_FUNCTION.optional(), withPredictions: A_CHOICE.optional() }),
  }),
);

/** How losses are computed. */
export interface EvaluatorOptions {
  /** The objective whose loss is computed; default: cross-entropy of the next token. */
  readonly objective?: ChosenObjective;
  /** What some objectives compare the adapter with; null or absent: the base. */
  readonly reference?: Adapter | null;
  /** Awaited before each block and each chunk of the head: other work on the session may run there. */
  readonly betweenBlocks?: BetweenBlocks | undefined;
}

/** How an evaluation reports progress, and what it counts. */
export interface EvaluateOptions {
  /** Called with the number of examples done. */
  readonly onProgress?: (numDone: number) => void;
  /** Whether to count how often the likeliest token is the right one; for classes this is always counted. */
  readonly withPredictions?: boolean;
}

/** Computes losses with programs that are compiled once. */
export class Evaluator {
  readonly #session: Session;
  readonly #scorer: Scorer;
  readonly #chosen: ChosenObjective;

  private constructor(session: Session, scorer: Scorer, chosen: ChosenObjective) {
    this.#session = session;
    this.#scorer = scorer;
    this.#chosen = chosen;
  }

  /**
   * Compiles the programs outside the blocks. `adapter` null: the base without an adapter.
   * @throws UsageError "usage/adapter" for an adapter of another base
   */
  static async create(
    session: Session,
    adapter: Adapter | null,
    options: EvaluatorOptions = {},
  ): Promise<Evaluator> {
    checkArguments("Evaluator.create", ARGUMENTS, { session, adapter, options });
    const { objective = NEXT_TOKEN, reference = null, betweenBlocks } = options;
    await requireOwnBase(session.base, [adapter, reference]);
    const scorer = await Scorer.create(session, { adapter, reference }, objective.objective, betweenBlocks);
    return new Evaluator(session, scorer, objective);
  }

  /**
   * Evaluates examples.
   * @throws UsageError "usage/flag" when there is no example, "usage/data", "usage/model", "usage/length" and "usage/shape" for one that the model cannot read, and where no token of any is learned
   */
  async evaluate(units: readonly TrainingUnit[], options: EvaluateOptions = {}): Promise<Evaluation> {
    checkArguments("evaluate", EXAMPLES, { units, options });
    requireLearnable(units, this.#session.model);
    const { objective } = this.#chosen;
    const { onProgress, withPredictions = false } = options;
    const passes = passesOf(units);
    const batches = passes.map(layUnits);
    // The first batch has the longest example.
    const longest = batches[0]!.length;
    const divergence = await divergenceOf(objective, this.#scorer, passes, longest);
    const totals = { ...countStep(batches), divergence };
    const metrics: Record<string, number> = {};
    const { problem } = DATA_KINDS[objective.rows];
    const ofOutputs = factsOf(problem).hasTargets ? new TargetPairs() : new PredictionCounts();
    const counts = withPredictions || problem !== null ? ofOutputs : null;
    let [loss, tokens, numDone] = [0, 0, 0];
    for (const [pass, batch] of batches.entries()) {
      const outcome = outcomeOf(this.#chosen, await this.#scorer.scores(batch, counts), totals);
      loss += outcome.loss;
      addMetrics(metrics, outcome.metrics);
      tokens += batch.numLabels;
      numDone += passes[pass]?.length ?? 0;
      onProgress?.(numDone);
    }
    const { loss: _, perplexity, ...others } = metricsOf(objective, { loss, predictions: counts, metrics });
    return {
      loss,
      ...(perplexity !== undefined && { perplexity }),
      tokens,
      metrics: { ...metrics, ...others },
    };
  }
}

/** Groups examples of similar length into passes. */
export function passesOf<E extends TrainingUnit>(units: readonly E[]): E[][] {
  const sorted = [...units].sort((a, b) => exampleLength(b) - exampleLength(a));
  const groups: E[][] = [];
  let longest = 0;
  for (const unit of sorted) {
    const group = groups.at(-1);
    if (group && (group.length + 1) * longest <= PASS_TOKENS) group.push(unit);
    else {
      groups.push([unit]);
      longest = exampleLength(unit);
    }
  }
  return groups;
}

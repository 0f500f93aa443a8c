/**
 * @file The contract of an objective: which data it reads, and how it computes loss and gradient from log-probabilities.
 *
 * An objective never sees a graph: the runner computes the log-probability of the label of each labelled position, asks
 * for the loss and its gradient by each of them, and carries that gradient back through the model. If a model's outputs are compared
 * with numbers, minus their loss takes the place of the log-probability (`run/head/target-loss`). Every number of an outcome is a share
 * of the step: over its micro-batches they add up to the same, however the step is cut into micro-batches.
 */
import { A_CHOICE, A_FUNCTION, A_NAME, AN_AMOUNT, argument, withMembers } from "../messages/arguments.ts";
import { z } from "zod";
import type { ComparedRole } from "../data/examples/comparison.ts";
import { DATA_KINDS, type DataKindName } from "../data/examples/data-kinds.ts";
import { AN_OPTIONS_SCHEMA } from "../peft/define-method.ts";

/** Which labelled positions of a micro-batch belong together; a `Batch` is one. N positions, S sequences. */
export interface LabelLayout {
  /** Weight of each position in a weighted mean, [N]. */
  readonly weights: Float32Array;
  /** Index into `sequences` of each position's sequence, [N]. */
  readonly sequenceOf: Int32Array;
  /** Role of each sequence, and the number of its group, [S]. The sequences of a pair share a group. */
  readonly sequences: readonly { readonly role: ComparedRole; readonly group: number }[];
}

/** Log-probabilities of the labels of a micro-batch. */
export interface Scores extends LabelLayout {
  /** Log-probabilities by the model in training, [N]. */
  readonly logProbs: Float32Array;
  /** Log-probabilities by the model without its adapter, [N]; null: the objective does not need them. */
  readonly reference: Float32Array | null;
}

/** What an objective has to know about the whole step before the first micro-batch; from `countStep` and `estimateDivergence`. */
export interface StepTotals {
  /** Sum of the weights of all labelled positions. */
  readonly weight: number;
  readonly numSequences: Readonly<Record<ComparedRole, number>>;
  /** Labelled positions by role. */
  readonly numLabels: Readonly<Record<ComparedRole, number>>;
  /** Estimate of how far the model is from the reference, at least 0; 0 if the objective does not need it. */
  readonly divergence: number;
}

/** What a micro-batch adds to the step. */
export interface Outcome {
  readonly loss: number;
  /** Gradient of the step's loss by each log-probability, [N]; a new array. */
  readonly gradient: Float32Array;
  /** Metrics by TRL's names; these must differ from the fields of `StepEvent` and `EvalEvent`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Classes as a caller gives them; null: not given. */
export interface GivenClasses {
  readonly names: readonly string[] | null;
  readonly count: number | null;
}

/** What a training learns: the loss of log-probabilities, and its gradient. `O`: its options. */
export interface Objective<O = unknown> {
  readonly name: string;
  /** One sentence for the documentation. */
  readonly summary: string;
  readonly paper: { readonly title: string; readonly url: string } | null;
  /** Strict schema of the options, each with a default. */
  readonly options: z.ZodType<O>;
  /** The classes that the options give to a model that has none. */
  classes?(options: O): GivenClasses;
  /** Factor of its learning rates relative to those of cross-entropy. */
  readonly rateFactor: number;
  /** The data that it reads. */
  readonly rows: DataKindName;
  /**
   * What the objective needs besides the model's own log-probabilities: those of the reference model, or those of prompts
   * with the answers to other prompts.
   */
  readonly needs: readonly ("reference" | "mismatched")[];
  /** The gradient does not depend on `logProbs`, so it is known before they are computed: one pass is enough. */
  readonly isSeparable: boolean;
  /** Its loss is the mean of the tokens' negative log-probabilities, so that e to the power of it is the perplexity. */
  readonly hasPerplexity?: boolean;
  evaluate(scores: Scores, totals: StepTotals, options: O): Outcome;
}

/** What callers give as an objective. */
export const AN_OBJECTIVE = withMembers({
  name: A_NAME,
  options: AN_OPTIONS_SCHEMA,
  rateFactor: AN_AMOUNT,
  rows: argument<DataKindName>(`one of ${Object.keys(DATA_KINDS).join(", ")}`, (rows) =>
    Object.hasOwn(DATA_KINDS, String(rows)),
  ),
  needs: z.array(z.enum(["reference", "mismatched"])),
  isSeparable: A_CHOICE,
  evaluate: A_FUNCTION,
});
export const OBJECTIVE_LIST = z.array(AN_OBJECTIVE);

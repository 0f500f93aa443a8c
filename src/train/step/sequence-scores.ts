/** @file Log-probabilities of sequences from those of their positions, and gradients back to the positions. */
import { assertInternal } from "../../errors.ts";
import { type ComparedRole, COMPARED_ROLES } from "../../data/examples/comparison.ts";
import type { LabelLayout, Scores, StepTotals } from "../objective.ts";

/** One sequence: sums over its labelled positions, in float64. */
export interface SequenceScore {
  /** Index in the layout's `sequences`. */
  readonly index: number;
  readonly role: ComparedRole;
  readonly group: number;
  readonly numLabels: number;
  readonly logProb: number;
  /** 0 without a reference. */
  readonly reference: number;
}

/** Sums the positions of each sequence. */
export function scoreSequences({ logProbs, reference, sequenceOf, sequences }: Scores): SequenceScore[] {
  const zeros = (): Float64Array => new Float64Array(sequences.length);
  const [sums, references, counts] = [zeros(), zeros(), zeros()];
  for (const [i, sequence] of sequenceOf.entries()) {
    sums[sequence]! += logProbs[i]!;
    references[sequence]! += reference?.[i] ?? 0;
    counts[sequence]!++;
  }
  return sequences.map(({ role, group }, index) => ({
    index,
    role,
    group,
    numLabels: counts[index]!,
    logProb: sums[index]!,
    reference: references[index]!,
  }));
}

/** A pair, both parts of which are in one micro-batch. */
interface ScoredPair {
  readonly chosen: SequenceScore;
  readonly rejected: SequenceScore;
}

/** Pairs the chosen and the rejected sequence of each group. */
export function scorePairs(scores: Scores): ScoredPair[] {
  const sequences = scoreSequences(scores);
  const rejected = new Map(sequences.flatMap((s) => (s.role === "rejected" ? [[s.group, s]] : [])));
  const pairs = sequences
    .filter(({ role }) => role === "chosen")
    .map((chosen) => ({ chosen, rejected: rejected.get(chosen.group)! }));
  assertInternal(
    pairs.every((pair) => pair.rejected) && pairs.length * 2 === sequences.length,
    "a micro-batch has both sequences of a pair",
  );
  return pairs;
}

/** Gives each position the gradient of its sequence's sum, [S] → [N]. */
export function spread({ sequenceOf }: LabelLayout, bySequence: Float64Array): Float32Array {
  return Float32Array.from(sequenceOf, (sequence) => bySequence[sequence]!);
}

/** The totals of a step from its batches; the divergence is left at 0. */
export function countStep(batches: readonly LabelLayout[]): StepTotals {
  const none = (): Record<ComparedRole, number> =>
    Object.fromEntries(COMPARED_ROLES.map((role) => [role, 0])) as Record<ComparedRole, number>;
  const [numSequences, numLabels] = [none(), none()];
  let weight = 0;
  for (const { weights, sequenceOf, sequences } of batches) {
    for (const { role } of sequences) numSequences[role]++;
    for (const sequence of sequenceOf) numLabels[sequences[sequence]!.role]++;
    for (const value of weights) weight += value;
  }
  return { weight, numSequences, numLabels, divergence: 0 };
}

/**
 * Estimates the divergence of the model from its reference: the mean over all sequences of log π/π₀, at least 0. `batches`: scores of
 * all batches of prompts with the answers to other prompts; 0 when there are none.
 */
export function estimateDivergence(batches: readonly Scores[]): number {
  const sequences = batches.flatMap(scoreSequences);
  const sum = sequences.reduce((sum, { logProb, reference }) => sum + logProb - reference, 0);
  return sequences.length === 0 ? 0 : Math.max(0, sum / sequences.length);
}

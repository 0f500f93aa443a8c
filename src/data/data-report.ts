/** @file What reading a data set did: counts and lengths, so that nothing is cut or dropped in silence. */
import { countLabels, exampleLength, sequencesOf, type TrainingUnit } from "./batch.ts";

/** Counts of one part of a data set. */
export interface DataReport {
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTrainedTokens: number;
  /** Examples that lost their end to maxLength and are still trained on. */
  readonly numTruncated: number;
  /** Examples left out: too long, or without any trained token (left). */
  readonly numDropped: number;
  /** Tokens a sequence: each side of a pair is one. */
  readonly lengths: {
    readonly min: number;
    readonly median: number;
    readonly mean: number;
    readonly max: number;
  };
}

/** Counts the examples that are kept. */
export function reportOn(
  units: readonly TrainingUnit[],
  numTruncated: number,
  numDropped: number,
): DataReport {
  const sequences = units.flatMap((unit) => sequencesOf(unit));
  const lengths = sequences.map(exampleLength).sort((a, b) => a - b);
  const numTokens = lengths.reduce((sum, length) => sum + length, 0);
  return {
    numExamples: units.length,
    numTokens,
    numTrainedTokens: sequences.reduce((sum, example) => sum + countLabels(example), 0),
    numTruncated,
    numDropped,
    lengths: {
      min: lengths[0] ?? 0,
      median: lengths[(lengths.length - 1) >> 1] ?? 0,
      mean: numTokens / Math.max(1, lengths.length),
      max: lengths.at(-1) ?? 0,
    },
  };
}

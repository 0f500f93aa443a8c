/** @file Reports what reading a data set did, as counts and lengths, so that nothing is cut or dropped silently. */
import { countLabels, exampleLength, sequencesOf, type TrainingUnit } from "../examples/training-unit.ts";
import { type FaultKind, Faults } from "./faults.ts";

/** Counts of what happened to rows; plain data. */
export interface RowCounts {
  /** Examples that were cut to maxLength and are still trained on. */
  readonly numTruncated: number;
  /** Examples left out: too long, or without any trained token (left). */
  readonly numDropped: number;
  /** Tokens of the longest sequence before anything was cut. */
  readonly longest: number;
  /** Rows of a plain prompt and answer that are concatenated as they are although the model has a chat template. */
  readonly numPlainPrompts: number;
  /** Conversations in which the chat template leaves out a part that should be learned. */
  readonly numUnshown: number;
  /** Texts that are learned as they are although their rows have labels, as rows for classification do. */
  readonly numLabelled: number;
  /** Rows that were left out because they cannot be used. */
  readonly faults: readonly FaultKind[];
}

/** Counts of one part of a data set. */
export interface DataReport extends RowCounts {
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTrainedTokens: number;
  /** Tokens per sequence; each side of a pair is a sequence. */
  readonly lengths: {
    readonly min: number;
    readonly median: number;
    readonly mean: number;
    readonly max: number;
  };
}

/** Reports on the examples that are kept, together with the counts of all rows. */
export function reportOn(units: readonly TrainingUnit[], counts: RowCounts): DataReport {
  const sequences = units.flatMap((unit) => sequencesOf(unit));
  const lengths = sequences.map(exampleLength).sort((a, b) => a - b);
  const numTokens = lengths.reduce((sum, length) => sum + length, 0);
  return {
    ...counts,
    numExamples: units.length,
    numTokens,
    numTrainedTokens: sequences.reduce((sum, example) => sum + countLabels(example), 0),
    lengths: {
      min: lengths[0] ?? 0,
      median: ((lengths[(lengths.length - 1) >> 1] ?? 0) + (lengths[lengths.length >> 1] ?? 0)) / 2,
      mean: numTokens / Math.max(1, lengths.length),
      max: lengths.at(-1) ?? 0,
    },
  };
}

/** Adds up the counts of parts. */
export function sumCounts(parts: readonly RowCounts[]): RowCounts {
  const faults = new Faults();
  for (const part of parts) faults.addAll(part.faults);
  const sum = (
    key: "numTruncated" | "numDropped" | "numPlainPrompts" | "numUnshown" | "numLabelled",
  ): number => parts.reduce((total, part) => total + part[key], 0);
  return {
    numTruncated: sum("numTruncated"),
    numDropped: sum("numDropped"),
    numPlainPrompts: sum("numPlainPrompts"),
    numUnshown: sum("numUnshown"),
    numLabelled: sum("numLabelled"),
    longest: parts.reduce((longest, part) => Math.max(longest, part.longest), 0),
    faults: faults.kinds,
  };
}

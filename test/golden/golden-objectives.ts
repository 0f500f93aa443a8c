/** @file The golden numbers of objectives: comparisons, their log-probabilities, and what objectives make of them. */
import type { Comparison, ComparedRole } from "../../src/data/examples/comparison.ts";
import { goldenJson } from "./golden-files.ts";

export interface GoldenSequence {
  readonly ids: readonly number[];
  readonly promptLength: number;
  readonly role: ComparedRole;
  readonly group: number;
}

interface GoldenCase {
  readonly objective: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly sequences?: readonly GoldenSequence[];
  readonly weights?: readonly number[];
  readonly logProbs: readonly number[];
  readonly reference?: readonly number[];
  readonly mismatched?: readonly GoldenSequence[];
  readonly mismatchedLogProbs?: readonly number[];
  readonly mismatchedReference?: readonly number[];
  readonly loss: number;
  readonly gradient: readonly number[];
  readonly metrics?: Readonly<Record<string, number>>;
}

export const OBJECTIVE_CASES = goldenJson<Readonly<Record<string, GoldenCase>>>("objectives", "golden.json");

/** Sequences of a case as the units that data becomes: those of a group stay together. */
export function comparisonsOf(sequences: readonly GoldenSequence[]): Comparison[] {
  const groups = Map.groupBy(sequences, ({ group }) => group);
  return [...groups.values()].map((own, i) => {
    const source = { file: "golden", line: i + 1 };
    return {
      source,
      sequences: own.map(({ ids, promptLength, role, group }) => ({
        ids: Int32Array.from(ids),
        weights: Float32Array.from(ids, (_, at) => (at < promptLength ? 0 : 1)),
        source,
        role,
        group,
      })),
    };
  });
}

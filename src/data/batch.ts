/** @file Rows of examples as the flat arrays that a step feeds; labels are shifted here and never cross an example. */
import { assertInternal } from "../errors.ts";
import type { Example } from "./example.ts";

/** The label of a position that has nothing to predict with loss. */
export const NO_LABEL = -100;

/** B rows of T positions, row-major; padding is at the right end of a row. */
export interface Batch {
  /** B */
  readonly numRows: number;
  /** T */
  readonly length: number;
  /** [B, T] */
  readonly ids: BigInt64Array;
  /** [B, T], from 0 in each example. */
  readonly positions: BigInt64Array;
  /** [B, T], number of the example in its row from 1; 0 is padding. */
  readonly segments: Int32Array;
  /** [B, T], the id that the position has to predict; NO_LABEL where there is no loss. */
  readonly labels: Int32Array;
  /** Positions that are not padding. */
  readonly numTokens: number;
  /** Positions with a label. */
  readonly numLabels: number;
}

/** Counts the tokens of a row. */
export function rowLength(row: readonly Example[]): number {
  return row.reduce((sum, example) => sum + example.ids.length, 0);
}

/** Lays rows side by side, padded to `length` or to the longest row. The caller owns the arrays. @throws RangeError when a row is longer */
export function toBatch(rows: readonly (readonly Example[])[], length?: number): Batch {
  const longest = rows.reduce((max, row) => Math.max(max, rowLength(row)), 0);
  const T = length ?? longest;
  if (longest > T) {
    throw new RangeError(`Cannot batch row: ${longest} tokens, expected at most ${T}`);
  }
  const size = rows.length * T;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const segments = new Int32Array(size);
  const labels = new Int32Array(size).fill(NO_LABEL);
  let numTokens = 0;
  let numLabels = 0;
  for (const [rowIndex, row] of rows.entries()) {
    let at = rowIndex * T;
    for (const [segmentIndex, example] of row.entries()) {
      assertInternal(example.trained.length === example.ids.length, "one flag a token");
      for (let i = 0; i < example.ids.length; i++, at++) {
        ids[at] = BigInt(example.ids[i]!);
        positions[at] = BigInt(i);
        segments[at] = segmentIndex + 1;
        // Past the end of the example there is no flag, hence no label.
        if (example.trained[i + 1] === 1) {
          labels[at] = example.ids[i + 1]!;
          numLabels++;
        }
      }
      numTokens += example.ids.length;
    }
  }
  return { numRows: rows.length, length: T, ids, positions, segments, labels, numTokens, numLabels };
}

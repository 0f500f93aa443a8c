/** @file What attention of whole queries, keys and values is given: its settings and its values; and how much work it is. */
import type { Multiplications, Value } from "../../graph.ts";

/** Settings of attention. */
export interface AttentionAttributes extends Record<string, unknown> {
  /** Factor s of the scores. */
  readonly scale: number;
  /** Scores are bent by c · tanh(x / c); null: they are not. */
  readonly softcap: number | null;
  /** Keys after the query are hidden. Without a cache, keys lie where their queries do, and those of a segment side by side. */
  readonly causal: boolean;
  /** How many keys a query sees, itself included, before it and, if not causal, as many behind it; null: all. */
  readonly window: number | null;
  /** Queries of one chunk, and how many chunks T makes; one for a T that is not known to be longer. */
  readonly chunk: { readonly length: number; readonly count: number };
}

/** Queries, keys, values, then segments and positions of the queries [B, T] and of the keys [B, S], all int32 or all int64. */
export type AttentionValues = readonly [
  query: Value,
  key: Value,
  value: Value,
  querySegments: Value,
  queryPositions: Value,
  keySegments: Value,
  keyPositions: Value,
];

/** These, and what some attention is given beside them. */
export type ValuesAndMore = readonly [...AttentionValues, ...more: readonly Value[]];

/** What takes part in the softmax beside scores: at most one of these. */
export interface BesideScores {
  /** What is added to the scores, [B or 1, H, T, S]. */
  readonly bias?: Value | undefined;
  /** A logit of each head, [H], as that of a key without a value. */
  readonly sinks?: Value | undefined;
}

/** Refuses a window without a key. @throws RangeError */
export function requireWindow({ window }: Pick<AttentionAttributes, "window">): void {
  if (window === null || (Number.isInteger(window) && window > 0)) return;
  throw new RangeError(`Cannot attend to a window of ${window} keys: expected at least 1`);
}

/** What is done for a pair of a query and a key: products of a row of E, and the work on its score beside them. */
export interface PairWork {
  readonly products: number;
  /** Mask, exponential and passes over memory, as multiplications that take as long: docs/log.md#attention-and-long-rows. */
  readonly besides: number;
}

/** Of attention: the scores, and the sums of values. */
export const FORWARD_WORK: PairWork = { products: 2, besides: 100 };
/** Of its gradient: the scores again, those of the gradient, and sums for queries, keys and values. */
export const BACKWARD_WORK: PairWork = { products: 5, besides: 300 };

/** Work on so many pairs with heads of a width. */
export function pairWork(
  { products, besides }: PairWork,
  { numPairs, width }: { readonly numPairs: number; readonly width: number },
): Multiplications {
  return { kind: "float32", count: numPairs * (products * width + besides) };
}

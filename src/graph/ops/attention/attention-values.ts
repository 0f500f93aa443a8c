/** @file Settings and inputs of attention over whole queries, keys and values, and how much work it is. */
import type { Multiplications, Value } from "../../graph.ts";

/** Settings of attention. */
export interface AttentionAttributes extends Record<string, unknown> {
  /** Factor s of the scores. */
  readonly scale: number;
  /** Scores are capped as c · tanh(x / c); null: they are not. */
  readonly softcap: number | null;
  /** Keys after the query are hidden. Without a cache, keys have the indices of their queries, and segments are contiguous. */
  readonly causal: boolean;
  /** How many keys a query sees, itself included, before it and, if not causal, also after it; null: all. */
  readonly window: number | null;
  /** Queries of one chunk, and the number of chunks in T; one chunk if T is not known to be longer. */
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

/** These, followed by further inputs of some kinds of attention. */
export type ValuesAndMore = readonly [...AttentionValues, ...more: readonly Value[]];

/** What enters the softmax beside the scores: at most one of these. */
export interface BesideScores {
  /** What is added to the scores, [B or 1, H, T, S]. */
  readonly bias?: Value | undefined;
  /** A logit for each head, [H], like the score of a key without a value. */
  readonly sinks?: Value | undefined;
}

/** Refuses a window without a key. @throws RangeError */
export function requireWindow({ window }: Pick<AttentionAttributes, "window">): void {
  if (window === null || (Number.isInteger(window) && window > 0)) return;
  throw new RangeError(`Cannot attend to a window of ${window} keys: expected at least 1`);
}

/** Work for a pair of a query and a key: products over a row of E, and the other work on its score. */
export interface PairWork {
  readonly products: number;
  /**
   * Mask, exponential and passes over memory, as the number of multiplications that take as long: docs/log.md#attention-and-long-rows.
   */
  readonly besides: number;
}

/** Work of attention: the scores, and the sums of values. */
export const FORWARD_WORK: PairWork = { products: 2, besides: 100 };
/** Work of its gradient: the scores again, their gradient, and sums for queries, keys and values. */
export const BACKWARD_WORK: PairWork = { products: 5, besides: 300 };

/** Work on `numPairs` pairs with heads of the given width. */
export function pairWork(
  { products, besides }: PairWork,
  { numPairs, width }: { readonly numPairs: number; readonly width: number },
): Multiplications {
  return { kind: "float32", count: numPairs * (products * width + besides) };
}

/**
 * @file What tokens of a part read of the few tokens before them, and how it is kept: in the cache, or in a state if attention
 * has the cache.
 */
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { gatherColumns } from "../../graph/ops/rows/gather-columns.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { slice } from "../../graph/ops/shapes/slice-pad.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { dimAt, sizeAt } from "../../graph/shape.ts";
import { beforeRows, hasEarlier } from "../../nn/pass.ts";
import { PAST_KEY, PAST_VALUE, type PartCache } from "./part-attention.ts";
import type { PartOptions } from "./part-options.ts";
import { type PartState, type StateOptions, pastOf } from "./part-state.ts";
import type { PassValues } from "./pass-values.ts";

/** How much a block keeps of the tokens before the next one. */
export interface RecentOptions {
  /** Numbers of a token, half of which are kept as keys and half as values of the cache. */
  readonly width: number;
  /** Number of tokens. */
  readonly count: number;
}

/** Earlier tokens in a graph. */
export interface PartEarlier extends PartCache {
  readonly options: RecentOptions;
  /** The x of 1, 2, … tokens earlier, [B, T, W] each. */
  readonly values: readonly Value[];
}

/** The same in a block where attention has the cache. */
interface EarlierBeside extends Pick<PartEarlier, "values"> {
  readonly options: StateOptions;
  /** The last tokens, [B, W, count]; null without a cache. */
  readonly state: PartState | null;
}

/** Builds the x [B, T, W] of 1 … `count` tokens earlier, with zeros before the start of an example. W is even. */
export function earlierIn(
  pass: PassValues,
  x: Value,
  count: number,
  { cache }: Pick<PartOptions, "cache">,
): PartEarlier {
  const width = sizeAt(x.shape, -1);
  const [newKey, newValue] = split(x, 2, [width / 2, width / 2]);
  const readPast = (name: string): Value =>
    pass.graph.input(name, "float32", [dimAt(x.shape, 0), count, width / 2]);
  const past: PartCache["past"] =
    cache === null ? {} : { [PAST_KEY]: readPast(PAST_KEY), [PAST_VALUE]: readPast(PAST_VALUE) };
  const before = cache === null ? null : concat(Object.values(past), 2);
  const { values } = shifted(pass, x, count, before);
  return { options: { width, count }, outputs: { newKey, newValue }, values, past };
}

/** Builds the same in a block where attention has the cache: the last tokens of a text are kept as a state. */
export function earlierBesideAttention(
  pass: PassValues,
  x: Value,
  count: number,
  { cache }: Pick<PartOptions, "cache">,
): EarlierBeside {
  const options = { name: "recent", shape: [sizeAt(x.shape, -1), count] };
  if (cache === null) return { options, values: shifted(pass, x, count, null).values, state: null };
  const past = pass.graph.input(pastOf(options), "float32", [dimAt(x.shape, 0), ...options.shape]);
  const { values, all } = shifted(pass, x, count, turned(past));
  return { options, values, state: { ...options, past, next: gatherColumns(turned(all), lastOf(x, count)) } };
}

const turned = (x: Value): Value => transpose(x, [0, 2, 1]);

/** The indices of the last columns, counted from the end, int64 [count]. */
export function lastOf({ graph }: Value, count: number): Value {
  return graph.constant(
    "int64",
    [count],
    BigInt64Array.from({ length: count }, (_, i) => BigInt(i - count)),
  );
}

/** Returns x at each distance, where `before` [B, count, W] precedes x; null: rows begin with x, and may hold several examples. */
function shifted(
  pass: PassValues,
  x: Value,
  count: number,
  before: Value | null,
): { readonly values: readonly Value[]; readonly all: Value } {
  const all = concat([before ?? pass.input(beforeRows(count, sizeAt(x.shape, -1))), x], 1); // [B, count + T, W]
  const values = Array.from({ length: count }, (_, i) => {
    const distance = i + 1;
    const value = slice(all, 1, count - distance, -distance);
    // A cache belongs to one example and has zeros before its start.
    return before === null ? mul(value, pass.input(hasEarlier(distance))) : value;
  });
  return { values, all };
}

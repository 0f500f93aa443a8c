/** @file What tokens of a part read of the few tokens before them, with the cache that keeps it. */
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { slice } from "../../graph/ops/shapes/slice-pad.ts";
import { dimAt, sizeAt } from "../../graph/shape.ts";
import { beforeRows, hasEarlier } from "../../nn/pass.ts";
import { PAST_KEY, PAST_VALUE, type PartCache } from "./part-attention.ts";
import type { PartOptions } from "./part-options.ts";
import type { PassValues } from "./pass-values.ts";

/** How much a block keeps of the tokens before the next one. */
export interface RecentOptions {
  /** Numbers of a token, of which keys and values of the cache have half each. */
  readonly width: number;
  /** Tokens. */
  readonly count: number;
}

/** Earlier tokens in a graph. */
export interface PartEarlier extends PartCache {
  readonly options: RecentOptions;
  /** What x was 1, 2, … tokens before, [B, T, W] each. */
  readonly values: readonly Value[];
}

/** Builds what x [B, T, W] was at each of `count` tokens before, zeros before an example begins. W is even. */
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
  const before = cache === null ? pass.input(beforeRows(count, width)) : concat(Object.values(past), 2);
  const all = concat([before, x], 1); // [B, count + T, W]
  const values = Array.from({ length: count }, (_, i) => {
    const distance = i + 1;
    const shifted = slice(all, 1, count - distance, -distance);
    // A cache is of one example, and has zeros before its beginning.
    return cache === null ? mul(shifted, pass.input(hasEarlier(distance))) : shifted;
  });
  return { options: { width, count }, outputs: { newKey, newValue }, values, past };
}

/**
 * @file What blocks keep of earlier tokens in ONNX files of models: keys and values by heads, input [B, K, P, E] and output
 * [B, K, P+T, E], which includes the given tokens; without attention, the last few tokens, [B, W, count].
 */
import type { Value } from "../../graph/graph.ts";
import { gatherColumns } from "../../graph/ops/rows/gather-columns.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { PAST_KEY, PAST_VALUE } from "../../models/graphs/part-attention.ts";
import { lastOf } from "../../models/graphs/part-earlier.ts";
import type { PartOptions } from "../../models/graphs/part-options.ts";
import type { ModelLayer } from "../../models/model-layer.ts";
import { fitsHeadCache } from "../../nn/attention.ts";
import type { WholeGraph } from "./whole-graph.ts";

interface BlockCache {
  /** How to build the block's part. */
  readonly order: NonNullable<PartOptions["cache"]>;
  /** What the part reads of earlier tokens, by input name. */
  readonly past: Readonly<Record<string, Value>>;
  /** Makes the outputs that later tokens read, from what the part computes. */
  give(newKey: Value, newValue: Value): void;
}

/** Makes the inputs of a block's cache; null: the block reads nothing of earlier tokens. */
export function blockCache(
  whole: WholeGraph,
  layer: number,
  { attention, recent }: Pick<ModelLayer, "attention" | "recent">,
): BlockCache | null {
  if (recent) return recentTokens(whole, layer, recent);
  if (!attention) return null;
  const { numKeyValueHeads: K, headWidth: E } = attention;
  const given = (what: string): Value =>
    whole.given(`past_key_values.${layer}.${what}`, "float32", ["B", K, "P", E]);
  const give = (what: string, value: Value): void =>
    whole.give(`present.${layer}.${what}`, value, ["B", K, "P+T", E]);
  const [key, value] = [given("key"), given("value")];
  if (fitsHeadCache(attention)) {
    return {
      order: "heads",
      past: { [PAST_KEY]: key, [PAST_VALUE]: value },
      give: (keys, values) => {
        give("key", keys);
        give("value", values);
      },
    };
  }
  const byTokens = (heads: Value): Value => reshape(transpose(heads, [0, 2, 1, 3]), ["B", "P", K * E]);
  const withNew = (heads: Value, tokens: Value): Value =>
    concat([heads, transpose(reshape(tokens, ["B", "T", K, E]), [0, 2, 1, 3])], 2);
  return {
    order: "tokens",
    past: { [PAST_KEY]: byTokens(key), [PAST_VALUE]: byTokens(value) },
    give: (newKey, newValue) => {
      give("key", withNew(key, newKey));
      give("value", withNew(value, newValue));
    },
  };
}

function recentTokens(
  whole: WholeGraph,
  layer: number,
  { width, count }: NonNullable<ModelLayer["recent"]>,
): BlockCache {
  const given = whole.given(`past_conv.${layer}`, "float32", ["B", width, count]);
  const before = transpose(given, [0, 2, 1]); // [B, count, W]
  const [key, value] = split(before, 2, [width / 2, width / 2]);
  return {
    order: "tokens",
    past: { [PAST_KEY]: key, [PAST_VALUE]: value },
    give: (newKey, newValue) => {
      const all = concat([before, concat([newKey, newValue], 2)], 1);
      const kept = gatherColumns(transpose(all, [0, 2, 1]), lastOf(given, count));
      whole.give(`present_conv.${layer}`, kept);
    },
  };
}

/** @file Attention on the one product that gives queries, keys and values, where they are parts of one. */
import type { AnyNode, Value } from "../../graph/graph.ts";
import {
  type CachedAttentionAttributes,
  attendJoined,
  cachedAttentionOp,
} from "../../graph/ops/attention/cached-attention.ts";

/** Applies attention that way, if it can be; `places`: which value of the new graph each has become. */
export function joinHeads(node: AnyNode, places: Map<Value, Value>): boolean {
  if (node.op !== cachedAttentionOp) return false;
  const inputs = node.inputs.map((value) => places.get(value));
  if (!inputs.every((value) => value !== undefined)) return false;
  const made = attendJoined(inputs, node.attributes as CachedAttentionAttributes);
  made?.forEach((value, i) => places.set(node.outputs[i] as Value, value));
  return made !== null;
}

/** @file Replaces attention on queries, keys and values that are cut from one product by attention on that product. */
import { type AnyNode, type Value, isNodeOf, notePlaces } from "../../graph/graph.ts";
import { attendJoined, cachedAttentionOp } from "../../graph/ops/attention/cached-attention.ts";

/** Applies attention that way, if it can be; `places`: which value of the new graph each has become. */
export function joinHeads(node: AnyNode, places: Map<Value, Value>): boolean {
  if (!isNodeOf(node, cachedAttentionOp)) return false;
  const inputs = node.inputs.map((value) => places.get(value));
  if (!inputs.every((value) => value !== undefined)) return false;
  const made = attendJoined(inputs, node.attributes);
  if (made) notePlaces(places, node.outputs, made);
  return made !== null;
}

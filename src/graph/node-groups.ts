/** @file Groups nodes of a program that one node can replace. */
import type { AnyNode, Some } from "./graph.ts";

/** Maps each node of a group to its group of at least two. */
export type NodeGroups<N extends AnyNode> = ReadonlyMap<AnyNode, Some<N>>;

/** Groups nodes of equal keys, in order. A key must be representable in JSON; null: the node joins no group. */
export function groupNodes<N extends AnyNode>(
  nodes: readonly N[],
  keyOf: (node: N) => readonly unknown[] | null,
): NodeGroups<N> {
  const groups = new Map<string, [N, ...N[]]>();
  for (const node of nodes) {
    const parts = keyOf(node);
    if (parts === null) continue;
    const key = JSON.stringify(parts);
    const group = groups.get(key);
    if (group) group.push(node);
    else groups.set(key, [node]);
  }
  const joined = [...groups.values()].filter(({ length }) => length > 1);
  return new Map(joined.flatMap((group) => group.map((node) => [node, group] as const)));
}

/** @file Nodes of a program that one node can take the place of. */
import type { AnyNode, Some } from "./graph.ts";

/** Groups of two nodes at least, under each of their nodes. */
export type NodeGroups<N extends AnyNode> = ReadonlyMap<AnyNode, Some<N>>;

/** Puts nodes of equal keys together, in their order. A key is anything that JSON can say; null: the node stays alone. */
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

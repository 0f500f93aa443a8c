/**
 * @file Products with bound matrices that multiply the same: joined to one, whose result is cut into theirs.
 *
 * At one token a product takes some ten microseconds, much of which is waking threads; queries, keys and values, and the two
 * halves of a gated MLP, are then one. ONNX Runtime joins the constants when it compiles the program.
 */
import type { AnyNode, Graph, Value } from "../../graph/graph.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { matmulBitsOp } from "../../graph/ops/products/matmul-bits.ts";
import { matmulInt8Op } from "../../graph/ops/products/matmul-int8.ts";
import { split } from "../../graph/ops/rows/split.ts";
import type { Dim } from "../../graph/shape.ts";

/** Operations with the axes of outputs in their inputs after the first. */
const JOINED = new Map<unknown, readonly number[]>([
  [matmulBitsOp, [0, 0, 0]],
  [matmulInt8Op, [1, 0]],
]);

/** Nodes that one takes the place of, under each of them. */
export type JoinedNodes = ReadonlyMap<AnyNode, readonly AnyNode[]>;

/** Finds nodes that can be joined, among those of a program; `isBound` tells which values are constants. */
export function findJoined(nodes: readonly AnyNode[], isBound: (value: Value) => boolean): JoinedNodes {
  const groups = new Map<string, AnyNode[]>();
  for (const node of nodes) {
    const [x, ...matrix] = node.inputs as [Value, ...Value[]];
    const axes = JOINED.get(node.op);
    if (!axes || matrix.length > axes.length || !matrix.every(isBound)) continue;
    const blocks = matrix.map(({ dtype, shape }, i) => [dtype, shape.toSpliced(axes[i] as number, 1)]);
    const key = JSON.stringify([node.op.name, x.id, node.attributes, blocks]);
    groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  const joined = [...groups.values()].filter(({ length }) => length > 1);
  return new Map(joined.flatMap((group) => group.map((node) => [node, group] as const)));
}

/** Applies joined nodes in a graph as one; returns the value of each. */
export function applyJoined(
  group: readonly AnyNode[],
  graph: Graph,
  placeOf: (value: Value) => Value,
): readonly Value[] {
  const [{ op, attributes, inputs }] = group as [AnyNode, ...AnyNode[]];
  const axes = JOINED.get(op) as readonly number[];
  const [x, ...matrix] = inputs as [Value, ...Value[]];
  const whole = matrix.map((_, i) =>
    concat(
      group.map((node) => placeOf(node.inputs[i + 1] as Value)),
      axes[i] as number,
    ),
  );
  const [y] = graph.apply(op, [placeOf(x), ...whole], attributes) as [Value];
  const sizes = group.map(({ outputs: [of] }) => (of as Value).shape.at(-1) as Dim);
  return split(y, y.shape.length - 1, sizes);
}

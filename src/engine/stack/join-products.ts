/**
 * @file Products with bound matrices that multiply the same: joined to one, whose result is cut into theirs.
 *
 * At one token a product takes some ten microseconds, much of which is waking threads; queries, keys and values, and the two
 * halves of a gated MLP, are then one. ONNX Runtime joins the constants when it compiles the program.
 */
import type { AnyNode, Graph, Some, Value, Values } from "../../graph/graph.ts";
import { type NodeGroups, groupNodes } from "../../graph/node-groups.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { matmulBitsOp } from "../../graph/ops/products/matmul-bits.ts";
import { matmulInt8Op } from "../../graph/ops/products/matmul-int8.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { dimAt } from "../../graph/shape.ts";

/** Axes of the outputs in the inputs after the first, by operation. */
const JOINED = new Map<unknown, readonly number[]>([
  [matmulBitsOp, [0, 0, 0]],
  [matmulInt8Op, [1, 0]],
]);

/** Finds nodes that can be joined, among those of a program; `isBound` tells which values are constants. */
export function findJoined(
  nodes: readonly AnyNode[],
  isBound: (value: Value) => boolean,
): NodeGroups<AnyNode> {
  return groupNodes(nodes, ({ op, inputs: [x, ...matrix], attributes }) => {
    const axes = JOINED.get(op);
    if (!axes || matrix.length > axes.length || !matrix.every(isBound)) return null;
    const blocks = matrix.map(({ dtype, shape }, i) => [dtype, shape.toSpliced(axes[i]!, 1)]);
    return [op.name, x.id, attributes, blocks];
  });
}

/** Applies joined nodes in a graph as one; returns the value of each. */
export function applyJoined(
  [first, ...others]: Some<AnyNode>,
  graph: Graph,
  placeOf: (value: Value) => Value,
): Values {
  const group = [first, ...others];
  const [x, ...matrix] = first.inputs;
  const axes = JOINED.get(first.op) ?? [];
  const whole = axes.slice(0, matrix.length).map((axis, i) =>
    concat(
      group.map(({ inputs: [, ...own] }) => placeOf(own[i]!)),
      axis,
    ),
  );
  const [y] = graph.apply(first.op, [placeOf(x), ...whole], first.attributes);
  const last = y!.shape.length - 1;
  const sizes = group.map(({ outputs: [output] }) => dimAt(output.shape, -1));
  return split(y!, last, sizes);
}

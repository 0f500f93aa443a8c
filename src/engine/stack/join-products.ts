/**
 * @file Joins products of one value with several bound matrices into one product, whose result is split again.
 *
 * For one token a product takes some ten microseconds, much of it for waking threads. This joins queries, keys and values, and
 * the two halves of a gated MLP. ONNX Runtime joins the constants when it compiles the program.
 */
import type { AnyNode, Graph, Some, Value, Values } from "../../graph/graph.ts";
import { type NodeGroups, groupNodes } from "../../graph/node-groups.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { matmulBitsOp } from "../../graph/ops/products/matmul-bits.ts";
import { matmulInt8Op } from "../../graph/ops/products/matmul-int8.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { dimAt } from "../../graph/shape.ts";

/** By operation: the axis of the output features in each input after the first. */
const JOINED = new Map<unknown, readonly number[]>([
  [matmulBitsOp, [0, 0, 0]],
  [matmulInt8Op, [1, 0]],
]);

/** Finds nodes of a program that can be joined; `isBound` tells which values are constants. */
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

/** Applies joined nodes as one node in a graph; returns a value for each. */
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

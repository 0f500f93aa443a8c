/**
 * @file Products of one value with several thin matrices, as one whose result is cut into theirs. Forward it reads the value
 * once, and so do its gradients: those of the matrices are one product, and what flows into the value is one in the place of
 * a sum.
 */
import type { AnyNode, Value } from "./graph.ts";
import { concat } from "./ops/shapes/concat.ts";
import { isThin, matmulOp } from "./ops/products/matmul.ts";
import { split } from "./ops/rows/split.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { sizeAt } from "./shape.ts";

/**
 * Joins such products among the nodes of a program, in the same graph. Returns which value has taken the place of each; those
 * that no such product reaches stay.
 */
export function joinThinProducts(spec: ProgramSpec): (value: Value) => Value {
  const nodes = nodesOf(spec);
  const groups = findThin(nodes);
  const places = new Map<Value, Value>();
  const placeOf = (value: Value): Value => places.get(value) ?? value;
  for (const node of nodes) {
    const [output] = node.outputs as [Value];
    if (places.has(output)) continue;
    const group = groups.get(node);
    if (group !== undefined) {
      const parts = applyJoined(group, placeOf(node.inputs[0] as Value));
      for (const [i, { outputs }] of group.entries()) places.set(outputs[0] as Value, parts[i] as Value);
    } else if (node.inputs.some((input) => places.has(input))) {
      const made = output.graph.apply(node.op, node.inputs.map(placeOf), node.attributes);
      for (const [i, own] of node.outputs.entries()) places.set(own, made[i] as Value);
    }
  }
  return placeOf;
}

/** Maps each product that is to be joined to its group, of two at least. */
function findThin(nodes: readonly AnyNode[]): ReadonlyMap<AnyNode, readonly AnyNode[]> {
  const groups = new Map<string, AnyNode[]>();
  for (const node of nodes) {
    const { op, inputs, attributes } = node;
    const [x, matrix] = inputs as [Value, Value];
    if (op !== matmulOp || attributes["transB"] !== true || !isThin(matrix, "rows")) continue;
    const key = JSON.stringify([x.id, attributes]);
    groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  const joined = [...groups.values()].filter(({ length }) => length > 1);
  return new Map(joined.flatMap((group) => group.map((node) => [node, group] as const)));
}

function applyJoined(group: readonly AnyNode[], x: Value): readonly Value[] {
  const [{ op, attributes }] = group as [AnyNode];
  const matrices = group.map(({ inputs }) => inputs[1] as Value);
  const [y] = x.graph.apply(op, [x, concat(matrices, 0)], attributes) as [Value];
  const sizes = matrices.map(({ shape }) => sizeAt(shape, 0));
  return split(y, y.shape.length - 1, sizes);
}

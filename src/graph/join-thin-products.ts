/**
 * @file Joins products of one value with several thin matrices into one product, whose result is split. Forward reads the value once,
 * and so does the gradient: those of all matrices are one product, and the value's gradient is one product instead of a sum.
 */
import {
  type AnyNode,
  type NodeOf,
  type Some,
  type Value,
  type Values,
  applyAgain,
  applyOne,
  isNodeOf,
  notePlaces,
} from "./graph.ts";
import { type NodeGroups, groupNodes } from "./node-groups.ts";
import { concat } from "./ops/shapes/concat.ts";
import { isThin, matmulOp } from "./ops/products/matmul.ts";
import { split } from "./ops/rows/split.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { sizeAt } from "./shape.ts";

/**
 * Joins such products of a program in its graph. Returns a function from each value to its replacement; a value that depends on
 * no such product is its own.
 */
export function joinThinProducts(spec: ProgramSpec): (value: Value) => Value {
  const nodes = nodesOf(spec);
  const groups = findThin(nodes);
  const places = new Map<Value, Value>();
  const placeOf = (value: Value): Value => places.get(value) ?? value;
  for (const node of nodes) {
    const [output] = node.outputs;
    if (places.has(output)) continue;
    const group = groups.get(node);
    if (group !== undefined) {
      const values = group.map(({ outputs }) => outputs[0]);
      notePlaces(places, values, applyJoined(group, placeOf(node.inputs[0])));
    } else if (node.inputs.some((input) => places.has(input))) {
      applyAgain(node, output.graph, node.inputs.map(placeOf), places);
    }
  }
  return placeOf;
}

type MatmulNode = NodeOf<typeof matmulOp>;

/** Maps each product to be joined to its group of at least two. */
function findThin(nodes: readonly AnyNode[]): NodeGroups<MatmulNode> {
  const products = nodes.filter((node) => isNodeOf(node, matmulOp));
  return groupNodes(products, ({ inputs: [x, matrix], attributes }) =>
    attributes.transB && isThin(matrix, "rows") ? [x.id, attributes] : null,
  );
}

function applyJoined([first, ...others]: Some<MatmulNode>, x: Value): Values {
  const matrices = [first, ...others].map(({ inputs: [, matrix] }) => matrix);
  const y = applyOne(matmulOp, [x, concat(matrices, 0)], first.attributes);
  const sizes = matrices.map(({ shape }) => sizeAt(shape, 0));
  return split(y, y.shape.length - 1, sizes);
}

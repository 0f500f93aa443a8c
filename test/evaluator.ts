/** @file Evaluates a program in float64 by the references of its operations: what onnxruntime's numbers are held against. */
import type { Value } from "../src/graph/graph.ts";
import { type ProgramSpec, nodesOf } from "../src/graph/program.ts";
import type { Bindings } from "../src/graph/shape.ts";
import type { Array64 } from "./ops/array64.ts";
import { decode } from "./ops/host-arrays.ts";
import { OP_SUITES } from "./ops/index.ts";

const SUITES = new Map(OP_SUITES.map((suite) => [suite.op, suite]));

/** Evaluates a program on the given inputs; fresh arrays by the names of the outputs. */
export function evaluate(
  spec: ProgramSpec,
  feeds: Readonly<Record<string, Array64>>,
  bindings: Bindings = {},
): Record<string, Array64> {
  const known = new Map<Value, Array64>();
  for (const [name, value] of Object.entries(spec.inputs)) {
    const feed = feeds[name];
    if (!feed) throw new RangeError(`Cannot evaluate program "${spec.name}": input "${name}" is not given`);
    known.set(value, feed);
  }
  const read = (value: Value): Array64 => {
    const constant = value.graph.constantData.get(value);
    const array = constant
      ? { shape: value.shape as number[], data: decode(value.dtype, constant) }
      : known.get(value);
    if (!array) throw new Error(`internal: value ${value.id} was not computed`);
    return array;
  };
  for (const node of nodesOf(spec)) {
    const suite = SUITES.get(node.op.name);
    if (!suite) throw new TypeError(`Cannot evaluate ${node.op.name}: it has no suite in test/ops`);
    const results = suite.reference(node.inputs.map(read), node.attributes, bindings);
    for (const [i, output] of node.outputs.entries()) {
      // A value that is given stays as given, even when its node runs for another output.
      if (!known.has(output)) known.set(output, results[i] as Array64);
    }
  }
  return Object.fromEntries(Object.entries(spec.outputs).map(([name, value]) => [name, read(value)]));
}

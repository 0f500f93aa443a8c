/** @file Evaluates a program in float64 by the references of its operations: what onnxruntime's numbers are held against. */
import type { AnyNode, Value } from "../../src/graph/graph.ts";
import { type ProgramSpec, nodesOf } from "../../src/graph/program.ts";
import type { Bindings } from "../../src/graph/shape.ts";
import type { Array64 } from "../ops/array64.ts";
import { decode } from "../ops/host-arrays.ts";
import { OP_SUITES } from "../ops/index.ts";

const SUITES = new Map(OP_SUITES.map((suite) => [suite.op, suite]));

type Arrays = Readonly<Record<string, Array64>>;

/** Evaluates a program on the given inputs; fresh arrays by the names of the outputs. */
export function evaluate(spec: ProgramSpec, feeds: Arrays, bindings: Bindings = {}): Record<string, Array64> {
  return new Evaluation(spec, feeds, bindings).outputs();
}

/** The values of all nodes of a program, so that with another input only what depends on it is computed again. */
export class Evaluation {
  readonly #spec: ProgramSpec;
  readonly #bindings: Bindings;
  readonly #nodes: readonly AnyNode[];
  readonly #values = new Map<Value, Array64>();

  constructor(spec: ProgramSpec, feeds: Arrays, bindings: Bindings = {}) {
    this.#spec = spec;
    this.#bindings = bindings;
    this.#nodes = nodesOf(spec);
    for (const [name, value] of Object.entries(spec.inputs)) {
      const feed = feeds[name];
      if (!feed) throw new RangeError(`Cannot evaluate program "${spec.name}": input "${name}" is not given`);
      this.#values.set(value, feed);
    }
    for (const node of this.#nodes) this.#run(node, this.#values, (value) => !this.#values.has(value));
  }

  /** The outputs by name; where an input is named, with another array in its place. */
  outputs(changed: Arrays = {}): Record<string, Array64> {
    const { inputs, outputs } = this.#spec;
    const values = new Map(this.#values);
    // Those that are given stay as given, even when their node runs for another output.
    const given = new Set(Object.values(inputs));
    const moved = new Set<Value>();
    for (const [name, array] of Object.entries(changed)) {
      const value = inputs[name];
      if (!value) continue;
      values.set(value, array);
      moved.add(value);
    }
    for (const node of this.#nodes) {
      if (!node.inputs.some((value) => moved.has(value))) continue;
      this.#run(node, values, (value) => !given.has(value));
      for (const value of node.outputs) if (!given.has(value)) moved.add(value);
    }
    return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, read(value, values)]));
  }

  /** Runs a node and keeps its outputs that are wanted. */
  #run(node: AnyNode, values: Map<Value, Array64>, isWanted: (value: Value) => boolean): void {
    const suite = SUITES.get(node.op.name);
    if (!suite) throw new TypeError(`Cannot evaluate ${node.op.name}: it has no suite in test/ops`);
    const inputs = node.inputs.map((value) => read(value, values));
    const results = suite.reference(inputs, node.attributes, this.#bindings);
    for (const [i, output] of node.outputs.entries()) {
      if (isWanted(output)) values.set(output, results[i]!);
    }
  }
}

function read(value: Value, values: ReadonlyMap<Value, Array64>): Array64 {
  const constant = value.graph.constantData.get(value);
  const array = constant
    ? { shape: value.shape as number[], data: decode(value.dtype, constant) }
    : values.get(value);
  if (!array) throw new Error(`internal: value ${value.id} was not computed`);
  return array;
}

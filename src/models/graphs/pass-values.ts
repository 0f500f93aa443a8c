/** @file The pass inputs and position tables of a part, each made once however often it is requested. */
import type { Graph, Value } from "../../graph/graph.ts";
import type { PassInput, PositionTable } from "../../nn/pass.ts";

export class PassValues {
  readonly graph: Graph;
  readonly inputs = new Map<string, { readonly input: PassInput; readonly value: Value }>();
  readonly tables = new Map<string, { readonly table: PositionTable; readonly value: Value }>();

  constructor(graph: Graph) {
    this.graph = graph;
  }

  input(input: PassInput): Value {
    const { name, dtype, shape } = input;
    const made = this.inputs.get(name) ?? { input, value: this.graph.input(name, dtype, shape) };
    this.inputs.set(name, made);
    return made.value;
  }

  /** The table as [R, width], with a row for each position. */
  table(table: PositionTable): Value {
    const { name, width } = table;
    const made = this.tables.get(name) ?? { table, value: this.graph.input(name, "float32", ["R", width]) };
    this.tables.set(name, made);
    return made.value;
  }
}

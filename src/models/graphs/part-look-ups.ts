/** @file Tables in which a part looks up rows, inside or outside its programs. */
import type { Graph, InputValue, Value } from "../../graph/graph.ts";
import type { PartTensors } from "./part-tensors.ts";
import type { SiteSpec } from "./sites.ts";

/** Rows that are looked up outside the program. */
export interface GatheredRows {
  readonly table: string;
  readonly ids: Value;
  readonly rows: InputValue;
}

export class PartLookUps {
  /** Embeddings, by the ids that are looked up; of several for the same ids the first, which is that of the model's tokens. */
  readonly byIds = new Map<Value, SiteSpec>();
  readonly gathered: GatheredRows[] = [];
  readonly #graph: Graph;
  readonly #tensors: PartTensors;

  constructor(graph: Graph, tensors: PartTensors) {
    this.#graph = graph;
    this.#tensors = tensors;
  }

  note(ids: Value, spec: SiteSpec): void {
    if (!this.byIds.has(ids)) this.byIds.set(ids, spec);
  }

  /** Makes an input for rows of a table [rows, width] that are looked up outside the program. */
  gather(table: string, shape: readonly [number, number], ids: Value, name: string): Value {
    this.#tensors.specs.push({ name: table, shape, role: "embedding" });
    const rows = this.#graph.input(name, "float32", [...ids.shape, shape[1]]);
    this.gathered.push({ table, ids, rows });
    return rows;
  }

  inputs(): Record<string, Value> {
    return Object.fromEntries(this.gathered.map(({ rows }) => [rows.name, rows]));
  }
}

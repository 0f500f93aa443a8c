/** @file Dropout masks as inputs of a part: one or two for each site, or for the sites of all parts of rows together. */
import type { Graph, InputValue, Value } from "../../graph/graph.ts";
import type { Shape } from "../../graph/shape.ts";
import type { RowParts } from "./row-parts.ts";

/** What one number of a mask keeps or drops: one number of a value, or a whole row. */
export type DropoutUnit = "number" | "row";

/** A mask that the runner of the program draws. */
export interface DropoutMask {
  /** The first site that reads it. */
  readonly site: string;
  readonly mask: InputValue;
  readonly unit: DropoutUnit;
  readonly probability: number;
}

export class DropoutMasks {
  readonly drawn: DropoutMask[] = [];
  readonly #graph: Graph;
  readonly #rowParts: RowParts;

  constructor(graph: Graph, rowParts: RowParts) {
    this.#graph = graph;
    this.#rowParts = rowParts;
  }

  /** Returns the mask for a value that a site reads: of its shape, or for rows [B, 1, …]. */
  of(site: string, value: Value, probability: number, unit: DropoutUnit): Value {
    const draw = (key: string, shape: Shape): Value => {
      const name = `dropout.${key}`;
      const known = this.drawn.find(({ mask }) => mask.name === name);
      if (known) return known.mask;
      const mask = this.#graph.input(name, "float32", shape);
      this.drawn.push({ site, mask, unit, probability });
      return mask;
    };
    const shape = unit === "row" ? value.shape.map((size, axis) => (axis === 0 ? size : 1)) : value.shape;
    const key = unit === "row" ? `${site}.rows` : site;
    return this.#rowParts.maskOf(shape, probability, draw) ?? draw(key, shape);
  }
}

/** @file Inputs of a part that are masks of dropout: one for each site, or one for the sites of all parts of rows. */
import type { Graph, Value } from "../graph/graph.ts";
import type { Shape } from "../graph/shape.ts";
import type { RowParts } from "./row-parts.ts";

/** A mask that whoever runs the program draws. */
export interface DropoutMask {
  /** The first one that reads it. */
  readonly site: string;
  readonly mask: Value;
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

  /** The mask for a value that a site reads, of its shape. */
  of(site: string, value: Value, probability: number): Value {
    const draw = (key: string, shape: Shape): Value => {
      const name = `dropout.${key}`;
      const known = this.drawn.find(({ mask }) => mask.name === name);
      if (known) return known.mask;
      const mask = this.#graph.input(name, "float32", shape);
      this.drawn.push({ site, mask, probability });
      return mask;
    };
    return this.#rowParts.maskOf(value, probability, draw) ?? draw(site, value.shape);
  }
}

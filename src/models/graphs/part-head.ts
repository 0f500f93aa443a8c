/** @file The product of a head in programs that are given only some rows of its matrix, or none. */
import type { Graph, InputValue, Value } from "../../graph/graph.ts";
import { add, mul } from "../../graph/ops/pointwise/elementwise.ts";
import { reduceSum } from "../../graph/ops/shapes/reduce-expand.ts";
import { sizeAt } from "../../graph/shape.ts";
import { linear } from "../../nn/linear.ts";
import type { HeadProduct } from "./part-options.ts";

/** Rows of the head's matrix and the biases of these outputs, as inputs. */
interface HeadRows {
  readonly tensor: string;
  readonly rows: InputValue;
  /** Null: the head has no biases. */
  readonly biases: InputValue | null;
}

export class PartHead {
  readonly #graph: Graph;
  /** The input of the head's matrix; null: the part is not a head. */
  input: Value | null = null;
  /** Null: programs read the whole matrix, or none of it. */
  rows: HeadRows | null = null;

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** Multiplies x [N, D] by rows of the matrix, which the runner of the program gives as `rows`; "none": returns x. */
  multiply(name: string, x: Value, product: Exclude<HeadProduct, "whole">, hasBias: boolean): Value {
    if (product === "none") return x;
    const isSlice = product === "slice";
    const rows = this.#graph.input("rows", "float32", [isSlice ? "V" : "N", sizeAt(x.shape, -1)]);
    const biases = hasBias ? this.#graph.input("biases", "float32", isSlice ? ["V"] : ["N", 1]) : null;
    this.rows = { tensor: `${name}.weight`, rows, biases };
    if (isSlice) return linear(x, rows, biases);
    const logits = reduceSum(mul(x, rows), [1]);
    return biases ? add(logits, biases) : logits;
  }

  /** Returns the inputs for the matrix and the biases, by name. */
  inputs(): Record<string, Value> {
    if (!this.rows) return {};
    const { rows, biases } = this.rows;
    return { rows, ...(biases && { biases }) };
  }
}

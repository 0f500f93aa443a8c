/**
 * @file What a part gives to others or reads from them, beside the residual stream: the stem may give each block an input of its
 * own, and a block its keys and values to later ones.
 */
import type { Graph, Value } from "../../graph/graph.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";

/** Inputs of a block that other parts give it: its own input from the stem, and keys and values of another block. */
export const LAYER_INPUT = "layer_input";
export const OTHER_KEY = "other_key";
export const OTHER_VALUE = "other_value";

export class PartLinks {
  /** Inputs that other parts give. */
  readonly inputs: Record<string, Value> = {};
  /** The inputs that the stem gives to the blocks, [L, B, T, W]; null: none. */
  layers: Value | null = null;
  /** Whether no gradient flows back to this block's keys and values from blocks that read them. */
  cutsKeys = false;
  readonly #graph: Graph;

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** Gives each layer its part of x [B, T, L, W]. */
  give(x: Value): void {
    this.layers = transpose(x, [2, 0, 1, 3]);
  }

  /** Returns an input, [B, T, width], by name. */
  input(name: string, width: number): Value {
    return (this.inputs[name] ??= this.#graph.input(name, "float32", ["B", "T", width]));
  }
}

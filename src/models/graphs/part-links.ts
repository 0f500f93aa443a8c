/**
 * @file What a part gives others, or reads of them, beside the residual stream: what stands before the blocks may give each of them a
 * part of its own, and a block its keys and values to later ones.
 */
import type { Graph, Value } from "../../graph/graph.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";

/** Inputs of a block that other parts give it: its part of what stands before the blocks, and keys and values of another. */
export const LAYER_INPUT = "layer_input";
export const OTHER_KEY = "other_key";
export const OTHER_VALUE = "other_value";

export class PartLinks {
  /** What other parts give, by the names of the inputs. */
  readonly inputs: Record<string, Value> = {};
  /** What each block is given, [L, B, T, W]; null: nothing. */
  layers: Value | null = null;
  /** Whether no gradient flows to keys and values from others that read them. */
  cutsKeys = false;
  readonly #graph: Graph;

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** Gives each layer its part of x [B, T, L, W]. */
  give(x: Value): void {
    this.layers = transpose(x, [2, 0, 1, 3]);
  }

  /** An input of a name, [B, T, width]. */
  input(name: string, width: number): Value {
    return (this.inputs[name] ??= this.#graph.input(name, "float32", ["B", "T", width]));
  }
}

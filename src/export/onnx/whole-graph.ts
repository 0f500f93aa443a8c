/** @file The graph of a whole model, built part after part, with inputs and outputs named as usual in ONNX files of models. */
import type { DType } from "../../graph/dtype.ts";
import { Graph, type Value, applyAgain, placeIn } from "../../graph/graph.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../../graph/program.ts";
import type { Dim, Shape } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";

/** Sizes that differ between runs, by the names that readers of such files know. */
const SIZES: Readonly<Record<string, string>> = {
  B: "batch_size",
  T: "sequence_length",
  P: "past_sequence_length",
  "P+T": "total_sequence_length",
};

const inWords = (size: Dim): Dim => SIZES[size] ?? size;

/** A part to append to the graph. */
interface Piece extends BuiltPart {
  /** Values of the part that are needed besides y. */
  readonly ends: Readonly<Record<string, Value>>;
  /** Maps an input of the part, other than x, to a value of the whole graph. */
  readonly inputOf: (name: string, like: Value) => Value;
}

export class WholeGraph {
  readonly #graph = new Graph();
  readonly #inputs: Record<string, Value> = {};
  readonly #outputs: Record<string, Value> = {};
  readonly #shapes = new Map<string, Shape>();

  /** Makes an input of the program that callers give. */
  given(name: string, dtype: DType, shape: Shape): Value {
    this.#shapes.set(name, shape.map(inWords));
    return this.input(name, dtype, shape);
  }

  /** Makes an output of the program; `shape`: if it is longer than that of `value`. */
  give(name: string, value: Value, shape = value.shape): void {
    this.#shapes.set(name, shape.map(inWords));
    this.#outputs[name] = value;
  }

  has(input: string): boolean {
    return input in this.#inputs;
  }

  /** Returns an input, made at first use. */
  input(name: string, dtype: DType, shape: Shape): Value {
    return (this.#inputs[name] ??= this.#graph.input(name, dtype, shape));
  }

  /** Appends a part after x; returns its y and ends as values of the whole graph. */
  add(
    x: Value,
    { part, x: own, y, ends, inputOf }: Piece,
  ): { readonly y: Value; readonly made: Readonly<Record<string, Value>> } {
    const outputs = { ...ends, y };
    const needed = neededInputs(outputs, part.inputs());
    const places = new Map([[own, x]]);
    for (const [name, value] of Object.entries(needed)) places.set(value, inputOf(name, value));
    for (const node of nodesOf({ name: "part", inputs: { x: own, ...needed }, outputs })) {
      const given = node.inputs.map((value) => placeIn(this.#graph, value, places));
      applyAgain(node, this.#graph, given, places);
    }
    const made = Object.entries(ends).map(([name, value]) => [name, places.get(value)!] as const);
    return { y: places.get(y)!, made: Object.fromEntries(made) };
  }

  /** The program, and the shapes of its inputs and outputs. */
  program(name: string): { readonly spec: ProgramSpec; readonly shapes: ReadonlyMap<string, Shape> } {
    return { spec: { name, inputs: this.#inputs, outputs: this.#outputs }, shapes: this.#shapes };
  }
}

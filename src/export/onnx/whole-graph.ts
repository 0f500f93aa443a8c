/** @file The graph of a whole model, part behind part; what is given to it and what it gives, in the words of ONNX files of models. */
import type { DType } from "../../graph/dtype.ts";
import { Graph, type Value, applyAgain, placeIn } from "../../graph/graph.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../../graph/program.ts";
import type { Dim, Shape } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";

/** Sizes that differ from run to run, as readers of such files know them. */
const SIZES: Readonly<Record<string, string>> = {
  B: "batch_size",
  T: "sequence_length",
  P: "past_sequence_length",
  "P+T": "total_sequence_length",
};

const inWords = (size: Dim): Dim => SIZES[size] ?? size;

/** A part that goes behind those before it. */
interface Piece extends BuiltPart {
  /** What is wanted of it, beside y. */
  readonly ends: Readonly<Record<string, Value>>;
  /** What an input of it is in the whole, but x. */
  readonly inputOf: (name: string, like: Value) => Value;
}

export class WholeGraph {
  readonly #graph = new Graph();
  readonly #inputs: Record<string, Value> = {};
  readonly #outputs: Record<string, Value> = {};
  readonly #shapes = new Map<string, Shape>();

  /** What whoever runs the program gives. */
  given(name: string, dtype: DType, shape: Shape): Value {
    this.#shapes.set(name, shape.map(inWords));
    return this.input(name, dtype, shape);
  }

  /** What the program gives; `shape`: where it is longer than what it is made of. */
  give(name: string, value: Value, shape = value.shape): void {
    this.#shapes.set(name, shape.map(inWords));
    this.#outputs[name] = value;
  }

  has(input: string): boolean {
    return input in this.#inputs;
  }

  /** An input, made when it is first asked for. */
  input(name: string, dtype: DType, shape: Shape): Value {
    return (this.#inputs[name] ??= this.#graph.input(name, dtype, shape));
  }

  /** Puts a part behind x; returns what its y and the ends have become. */
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

  /** The program, and the shapes of what is given to it and what it gives. */
  program(name: string): { readonly spec: ProgramSpec; readonly shapes: ReadonlyMap<string, Shape> } {
    return { spec: { name, inputs: this.#inputs, outputs: this.#outputs }, shapes: this.#shapes };
  }
}

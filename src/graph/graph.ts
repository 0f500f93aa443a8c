/**
 * @file The graph: typed values made by operations, with equal operations made only once.
 *
 * Forward and gradient of a function live in one graph; a program is a cut through it (`program.ts`).
 */
import type { DType, TensorData } from "./dtype.ts";
import type { Attributes, Op } from "./op.ts";
import { type Shape, showShape } from "./shape.ts";

/** Element type and shape. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** What makes a value: an operation, or nothing (`null`) for an input. */
export interface Node<A extends Attributes = Attributes> {
  readonly op: Op<A>;
  readonly inputs: readonly Value[];
  readonly attributes: A;
  readonly outputs: readonly Value[];
}

/** One tensor of a graph. */
export interface Value extends TensorType {
  readonly graph: Graph;
  /** Counts up from 0 in the order of making, so a value's inputs have smaller ids. */
  readonly id: number;
  readonly node: Node | null;
  /** Name of an input, else null. */
  readonly name: string | null;
}

/** Holds values; makes and reuses them. */
export class Graph {
  #numValues = 0;
  readonly #made = new Map<string, Node>();
  readonly #constants = new Map<string, Value>();
  /** Data of constant values, by the value. */
  readonly constantData = new Map<Value, TensorData>();

  #value(type: TensorType, node: Node | null, name: string | null): Value {
    return { graph: this, id: this.#numValues++, dtype: type.dtype, shape: type.shape, node, name };
  }

  /** Makes an input: a value that the caller of a program gives. */
  input(name: string, dtype: DType, shape: Shape): Value {
    return this.#value({ dtype, shape }, null, name);
  }

  /** Makes a small constant that is written into the program; equal ones are one value. */
  constant(dtype: DType, shape: readonly number[], data: TensorData): Value {
    const key = `${dtype}${showShape(shape)}${data.join(",")}`;
    let value = this.#constants.get(key);
    if (!value) {
      value = this.#value({ dtype, shape }, null, null);
      this.#constants.set(key, value);
      this.constantData.set(value, data);
    }
    return value;
  }

  /** Makes a float32 scalar, shape []. */
  scalar(value: number): Value {
    return this.constant("float32", [], Float32Array.of(value));
  }

  /** Applies an operation and returns its outputs; the same operation on the same values is made once. */
  apply<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): readonly Value[] {
    const key = `${op.name}(${inputs.map((v) => v.id).join(",")})${JSON.stringify(attributes)}`;
    for (const input of inputs) {
      if (input.graph !== this) throw new TypeError(`Cannot apply ${op.name}: a value of another graph`);
    }
    const known = this.#made.get(key);
    if (known) return known.outputs;
    const outputs: Value[] = [];
    const node = { op, inputs, attributes, outputs } as unknown as Node;
    for (const type of op.infer(inputs, attributes)) outputs.push(this.#value(type, node, null));
    this.#made.set(key, node);
    return outputs;
  }
}

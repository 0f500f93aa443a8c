/**
 * @file The graph: typed values made by operations, with equal operations made only once.
 *
 * Forward and gradient of a function live in one graph; a program is a cut through it (`program.ts`).
 */
import type { DType, TensorData } from "./dtype.ts";
import type { AnyOp, Attributes, Op } from "./op.ts";
import { type Shape, showShape } from "./shape.ts";

/** Element type and shape. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** What makes a value: an operation, or nothing (`null`) for an input. */
export interface Node<
  A extends Attributes = Attributes,
  I extends Values = Values,
  O extends Values = readonly [Value],
> {
  readonly op: Op<A, I, O>;
  readonly inputs: I;
  readonly attributes: A;
  readonly outputs: O;
}

/** A node of any operation. */
export interface AnyNode extends Node<Attributes, Values, Values> {
  readonly op: AnyOp;
}

/** One tensor of a graph. */
export interface Value extends TensorType {
  readonly graph: Graph;
  /** Counts up from 0 in the order of making, so a value's inputs have smaller ids. */
  readonly id: number;
  readonly node: AnyNode | null;
  /** Name of an input, else null. */
  readonly name: string | null;
}

/** Inputs or outputs of an operation. */
export type Values = readonly Value[];

/** Holds values; makes and reuses them. */
export class Graph {
  #numValues = 0;
  readonly #made = new Map<string, AnyNode>();
  readonly #constants = new Map<string, Value>();
  /** Data of constant values, by the value. */
  readonly constantData = new Map<Value, TensorData>();

  #value(type: TensorType, node: AnyNode | null, name: string | null): Value {
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
  apply<A extends Attributes, I extends Values, O extends Values>(
    op: Op<A, I, O>,
    inputs: I,
    attributes: A,
  ): O {
    const key = `${op.name}(${inputs.map((v) => v.id).join(",")})${JSON.stringify(attributes)}`;
    for (const input of inputs) {
      if (input.graph !== this) throw new TypeError(`Cannot apply ${op.name}: a value of another graph`);
    }
    const known = this.#made.get(key);
    // Equal names are equal operations, with as many outputs.
    if (known) return known.outputs as unknown as O;
    const outputs: Value[] = [];
    const node: AnyNode = { op, inputs, attributes, outputs };
    for (const type of op.infer(inputs, attributes)) outputs.push(this.#value(type, node, null));
    this.#made.set(key, node);
    return outputs as unknown as O;
  }
}

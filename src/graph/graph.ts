/**
 * @file The graph: typed values made by operations, with equal operations made only once.
 *
 * An operation is its shape rule, ONNX emission and vector-Jacobian product, in one file; two operations that are each other's
 * gradient share a file. Forward and gradient of a function live in one graph; a program is a cut through it (`program.ts`).
 */
import { type DType, type TensorData, constantKey } from "./dtype.ts";
import type { Emitter, Target } from "./emitter.ts";
import { type Bindings, type Shape, knownShape } from "./shape.ts";

/** Element type and shape. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** One application of an operation: what makes a value. The `node` of an input is null. */
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

/** A list of at least one. */
export type Some<T> = readonly [T, ...T[]];

export interface AnyNode {
  readonly op: AnyOp;
  readonly inputs: Some<Value>;
  readonly attributes: Attributes;
  readonly outputs: Some<Value>;
}

/** One tensor of a graph. */
export interface Value extends TensorType {
  readonly graph: Graph;
  /** Counts up from 0 in order of creation, so a value's inputs have smaller ids. */
  readonly id: number;
  readonly node: AnyNode | null;
  /** Name of an input, else null. */
  readonly name: string | null;
}

/** A value that the caller of a program supplies. */
export interface InputValue extends Value {
  readonly name: string;
}

/** Inputs or outputs of an operation. */
export type Values = readonly Value[];

/** Settings of an operation; must be representable in JSON. */
export type Attributes = Readonly<Record<string, unknown>>;
/** An operation without settings. */
export type NoAttributes = Readonly<Record<string, never>>;

/** How many multiplications, and of which kind of numbers. */
export interface Multiplications {
  readonly kind: "float32" | "int8";
  readonly count: number;
}

/** An operation; `I` and `O` are tuples of its inputs and outputs. */
export interface Op<
  A extends Attributes = Attributes,
  I extends Values = Values,
  O extends Values = readonly [Value],
> {
  readonly name: string;
  /** Types of the outputs. @throws RangeError or TypeError when the inputs do not fit. */
  infer(inputs: I, attributes: A): { readonly [K in keyof O]: TensorType };
  /** Writes the ONNX nodes that compute the outputs. */
  emit(node: Node<A, I, O>, emitter: Emitter): void;
  readonly vjp: "not-differentiable" | Gradient<A, I, O>;
  /**
   * Where the outputs lie: "in-place", over an input of equal size that nothing reads afterwards; "view", in the memory of the
   * first input. Default: in memory of their own. Used only for estimates.
   */
  readonly memory?: "in-place" | "view";
  /** Multiplications of matrix products, which far outnumber elements. Default: none. Used only for estimates. */
  multiplications?(node: Node<A, I, O>, bindings: Bindings): Multiplications;
  /** Bytes that the ONNX nodes need besides inputs and outputs. Default: none. Used only for estimates. */
  scratchBytes?(node: Node<A, I, O>, bindings: Bindings, target: Target): number;
  /**
   * Bytes of each value between the ONNX nodes. The next node of this operation with the same sizes reuses their memory, so it is
   * occupied until the last such node has run. Default: none. Used only for estimates.
   */
  heldBytes?(node: Node<A, I, O>, bindings: Bindings): readonly number[];
  /** Bytes of the second layout that ONNX Runtime makes of constant inputs and keeps as long as the program. Default: none. */
  packedBytes?(node: Node<A, I, O>): number;
}

/** Any operation, whatever its settings, inputs and outputs. */
export type AnyOp = Op<Attributes, Values, Values>;

/**
 * Gradients of the inputs from gradients of the outputs. Null for an output: no gradient flows into it, but at least one is given. Null
 * for an input: it has no gradient. Declared as a method, so that an `Op` of specific inputs is assignable to `AnyOp`.
 */
type Gradient<A extends Attributes, I extends Values, O extends Values> = {
  vjp(node: Node<A, I, O>, gradients: OutputGradients<O>): { readonly [K in keyof I]: Value | null };
}["vjp"];

type OutputGradients<O extends Values> = O extends readonly [Value]
  ? readonly [Value]
  : { readonly [K in keyof O]: Value | null };

/** Holds values; makes and reuses them. */
export class Graph {
  #numValues = 0;
  readonly #made = new Map<string, AnyNode>();
  readonly #constants = new Map<string, Value>();
  /** Data of constant values. */
  readonly constantData = new Map<Value, TensorData>();

  #value<N extends string | null>({ dtype, shape }: TensorType, node: AnyNode | null, name: N) {
    return { graph: this, id: this.#numValues++, dtype, shape, node, name };
  }

  /** Makes an input. */
  input(name: string, dtype: DType, shape: Shape): InputValue {
    return this.#value({ dtype, shape }, null, name);
  }

  /** Makes a small constant that is written into the program; equal ones are one value. */
  constant(dtype: DType, shape: readonly number[], data: TensorData): Value {
    const key = constantKey(dtype, shape, data);
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
    let key = op.name;
    for (const { graph, id } of inputs) {
      if (graph !== this) throw new TypeError(`Cannot apply ${op.name}: a value of another graph`);
      key += ` ${id}`;
    }
    key += JSON.stringify(attributes);
    const known = this.#made.get(key);
    // Equal keys mean equal operations, which have equally many outputs.
    if (known) return known.outputs as unknown as O;
    const outputs: Value[] = [];
    const node = { op, inputs, attributes, outputs } as unknown as AnyNode;
    for (const type of op.infer(inputs, attributes)) outputs.push(this.#value(type, node, null));
    this.#made.set(key, node);
    return outputs as unknown as O;
  }
}

/** The node type of an operation. */
export type NodeOf<T> = T extends Op<infer A, infer I, infer O> ? AnyNode & Node<A, I, O> : never;

/** Tells whether a node applies the given operation, and narrows its type. */
export function isNodeOf<A extends Attributes, I extends Values, O extends Values>(
  node: AnyNode | null | undefined,
  op: Op<A, I, O>,
): node is AnyNode & Node<A, I, O> {
  return node?.op === op;
}

/** Returns the counterpart of a value in another graph, by `places`; a constant is made there. */
export function placeIn(graph: Graph, value: Value, places: ReadonlyMap<Value, Value>): Value {
  const place = places.get(value);
  if (place) return place;
  const data = value.graph.constantData.get(value);
  if (!data) throw new RangeError(`Cannot copy value ${value.id}: nothing before it makes it`);
  return graph.constant(value.dtype, knownShape(value.shape), data);
}

/** Applies the operation of a node to other inputs in a graph, and notes in `places` the counterparts of its outputs. */
export function applyAgain(node: AnyNode, graph: Graph, inputs: Values, places: Map<Value, Value>): void {
  notePlaces(places, node.outputs, graph.apply(node.op, inputs, node.attributes));
}

/** Notes that `made` replace `values`, in order. */
export function notePlaces(places: Map<Value, Value>, values: Values, made: Values): void {
  for (const [i, value] of values.entries()) {
    const place = made[i];
    if (!place) throw new RangeError(`Cannot replace ${values.length} values by ${made.length}`);
    places.set(value, place);
  }
}

/** Applies an operation with one output. */
export function applyOne<A extends Attributes, I extends Values>(
  op: Op<A, I>,
  inputs: I,
  attributes: A,
): Value {
  const [first] = inputs;
  if (!first) throw new TypeError(`Cannot apply ${op.name}: no inputs`);
  const [output] = first.graph.apply(op, inputs, attributes);
  return output;
}

/** Returns a function that applies an operation of one value, without settings. */
export const unary =
  (op: Op<NoAttributes, readonly [Value]>) =>
  (x: Value): Value =>
    applyOne(op, [x], {});

/** Returns a function that applies an operation of two values, without settings. */
export const binary =
  (op: Op<NoAttributes, readonly [Value, Value]>) =>
  (a: Value, b: Value): Value =>
    applyOne(op, [a, b], {});

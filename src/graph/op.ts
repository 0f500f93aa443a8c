/**
 * @file The contract of an operation: shape rule, ONNX emission and vector-Jacobian product, together in one file.
 * Two that are each other's gradient share one.
 *
 * Adding one: a file in `ops/`, a line in `ops.ts`, and its cases in `test/ops/`.
 */
import type { Emitter } from "./emitter.ts";
import type { Node, TensorType, Value, Values } from "./graph.ts";
import type { Bindings } from "./shape.ts";

/** Settings of an operation; everything that JSON can say. */
export type Attributes = Readonly<Record<string, unknown>>;
/** An operation without settings. */
export type NoAttributes = Readonly<Record<string, never>>;

/** How many numbers are multiplied, and of which kind they are. */
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
   * Where the outputs lie: "in-place", over an input of as many bytes that nobody reads afterwards; "view", where the first
   * input does. Memory of their own when it is left out. For estimates alone.
   */
  readonly memory?: "in-place" | "view";
  /** Multiplications of a product, of which there are many more than elements; none when it is left out. For estimates alone. */
  multiplications?(node: Node<A, I, O>, bindings: Bindings): Multiplications;
  /** Bytes that the ONNX nodes need besides inputs and outputs; none when it is left out. For estimates alone. */
  scratchBytes?(node: Node<A, I, O>, bindings: Bindings): number;
}

/** Any operation, whatever its settings, inputs and outputs. */
export type AnyOp = Op<Attributes, Values, Values>;

/**
 * Gradients of the inputs from gradients of the outputs (null: none flows; one of several at least is given). Null for an
 * input means: no gradient. Written as a method, so that an operation of certain inputs counts as one of any.
 */
type Gradient<A extends Attributes, I extends Values, O extends Values> = {
  vjp(node: Node<A, I, O>, gradients: OutputGradients<O>): { readonly [K in keyof I]: Value | null };
}["vjp"];

type OutputGradients<O extends Values> = O extends readonly [Value]
  ? readonly [Value]
  : { readonly [K in keyof O]: Value | null };

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

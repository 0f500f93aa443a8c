/**
 * @file The contract of an operation: shape rule, ONNX emission and vector-Jacobian product, together in one file each.
 *
 * Adding one: a file in `ops/`, a line in `ops.ts`, and its cases in `test/ops/`.
 */
import type { Emitter } from "./emitter.ts";
import type { Node, TensorType, Value } from "./graph.ts";

/** Settings of an operation; everything that JSON can say. */
export type Attributes = Readonly<Record<string, unknown>>;

export interface Op<A extends Attributes = Attributes> {
  readonly name: string;
  /** Types of the outputs. @throws RangeError or TypeError when the inputs do not fit. */
  infer(inputs: readonly Value[], attributes: A): readonly TensorType[];
  /** Writes the ONNX nodes that compute the outputs. */
  emit(node: Node<A>, emitter: Emitter): void;
  /**
   * Gradients of the inputs from gradients of the outputs (null: none flows). Null for an input means: no gradient.
   */
  readonly vjp:
    | "not-differentiable"
    | ((node: Node<A>, gradients: readonly (Value | null)[]) => readonly (Value | null)[]);
}

/** Applies an operation with one output. */
export function applyOne<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): Value {
  const first = inputs[0];
  if (!first) throw new TypeError(`Cannot apply ${op.name}: no inputs`);
  return first.graph.apply(op, inputs, attributes)[0] as Value;
}

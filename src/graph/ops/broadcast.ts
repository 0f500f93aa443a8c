/** @file What element-wise operations share: broadcasting of two inputs, and its reverse in the gradient. */
import type { Node, Value } from "../graph.ts";
import type { Op } from "../op.ts";
import { type Shape, broadcastShapes, sameShape } from "../shape.ts";
import { reduceSum } from "./reduce-sum.ts";
import { reshape } from "./reshape.ts";

/** An element-wise operation of two inputs of one type. */
export type BinaryOp = Op<Record<string, never>>;

/** Makes an element-wise operation of two inputs; `partials` gives d/da and d/db times the output gradient. */
export function binaryOp(
  name: string,
  onnxName: string,
  partials: (a: Value, b: Value, gradient: Value, output: Value) => readonly [() => Value, () => Value],
): BinaryOp {
  return {
    name,
    infer: ([a, b]) => {
      if (!a || !b || a.dtype !== b.dtype) {
        throw new TypeError(`Cannot ${name} ${a?.dtype} and ${b?.dtype}: element types differ`);
      }
      return [{ dtype: a.dtype, shape: broadcastShapes(name, a.shape, b.shape) }];
    },
    emit: (node, emitter) => emitter.simple(node, onnxName),
    vjp: (node, [gradient]) => {
      const [a, b] = node.inputs as [Value, Value];
      const [da, db] = partials(a, b, gradient as Value, node.outputs[0] as Value);
      // A constant wants no gradient; building one would only be thrown away.
      return [a, b].map((input, i) =>
        input.graph.constantData.has(input) ? null : sumTo((i === 0 ? da : db)(), input.shape),
      );
    },
  };
}

/** Makes an element-wise operation of one input. */
export function unaryOp(
  name: string,
  emit: Op<Record<string, never>>["emit"],
  partial: (x: Value, gradient: Value, output: Value) => Value,
): Op<Record<string, never>> {
  return {
    name,
    infer: ([x]) => [{ dtype: (x as Value).dtype, shape: (x as Value).shape }],
    emit,
    vjp: (node: Node<Record<string, never>>, [gradient]) => [
      partial(node.inputs[0] as Value, gradient as Value, node.outputs[0] as Value),
    ],
  };
}

/** Sums a gradient over the axes along which its value was broadcast. */
export function sumTo(gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, i) =>
    i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : [],
  );
  const summed = reduceSum(gradient, axes);
  return sameShape(summed.shape, shape) ? summed : reshape(summed, shape);
}

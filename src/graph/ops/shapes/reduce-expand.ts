/** @file Sums over axes, and the reverse: repeats axes of size 1. Each is the gradient of the other. */
import { applyOne, type NoAttributes, type Op, type Value, type Values } from "../../graph.ts";
import { type Dim, type Shape, broadcastShapes, sameShape, showShape } from "../../shape.ts";
import { reshape } from "./reshape.ts";

type ReduceOp = Op<Readonly<Record<"axes", readonly number[]>>, readonly [Value]>;

/** Makes an operation that reduces axes to size 1; `operator` is that of ONNX. */
export function reductionOp(name: string, operator: string, vjp: ReduceOp["vjp"]): ReduceOp {
  return {
    name,
    infer: ([{ dtype, shape }], { axes }) => {
      if (axes.some((axis) => !(axis in shape))) {
        throw new RangeError(`Cannot reduce axes ${showShape(axes)} of ${showShape(shape)}: not its axes`);
      }
      return [{ dtype, shape: shape.map((dim, i): Dim => (axes.includes(i) ? 1 : dim)) }];
    },
    emit: (node, emitter) => {
      const [x] = emitter.names(node.inputs);
      emitter.node(operator, [x, emitter.int64(node.attributes.axes)], emitter.names(node.outputs), {
        keepdims: 1,
        noop_with_empty_axes: 1,
      });
    },
    vjp,
  };
}

export const reduceSumOp = reductionOp("reduceSum", "ReduceSum", ({ inputs: [x] }, [gradient]) => [
  expandLike(gradient, x),
]);

export const expandLikeOp: Op<NoAttributes, readonly [Value, Value]> = {
  name: "expandLike",
  infer: ([{ dtype, shape }, like]) => {
    if (!sameShape(broadcastShapes("expand", shape, like.shape), like.shape)) {
      throw new RangeError(`Cannot expand ${showShape(shape)} to ${showShape(like.shape)}`);
    }
    return [{ dtype, shape: like.shape }];
  },
  emit: (node, emitter) => {
    const [x, like] = emitter.names(node.inputs);
    emitter.node("Expand", [x, emitter.value("Shape", [like])], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x] }, [gradient]) => [sumTo(gradient, x.shape), null],
};

/**
 * Sums over axes, counted from 0, and keeps them with size 1: [B, T, D] over 2 gives [B, T, 1].
 * @throws RangeError for axes that the value does not have
 */
export function reduceSum(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceSumOp, [x], { axes });
}

/** Repeats axes of size 1 to match the shape of another value. */
export function expandLike(x: Value, like: Value): Value {
  return sameShape(x.shape, like.shape) ? x : applyOne(expandLikeOp, [x, like], {});
}

/** Zeros of the shape of another value; right even where that has NaN. */
export function zerosLike(x: Value): Value {
  return expandLike(x.graph.scalar(0), x);
}

/** Replaces missing gradients of a node's outputs by zeros. */
export function orZeros(outputs: Values, gradients: readonly (Value | null)[]): Values {
  return outputs.map((output, i) => gradients[i] ?? zerosLike(output));
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

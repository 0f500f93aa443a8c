/** @file What element-wise operations of one input, and of two broadcast inputs, have in common. */
import type { Emitter } from "../../emitter.ts";
import type { NoAttributes, Op, Value } from "../../graph.ts";
import { broadcastShapes } from "../../shape.ts";
import { sumTo } from "./reduce-expand.ts";

/** An element-wise operation of one input. */
type UnaryOp = Op<NoAttributes, readonly [Value]>;
/** An element-wise operation of two inputs of one type. */
export type BinaryOp = Op<NoAttributes, readonly [Value, Value]>;

/** How an operation is emitted: the name of an ONNX operator, or a function that adds the nodes that compute `y` from `x`. */
export type UnaryEmission = string | ((emitter: Emitter, x: string, y: string) => void);
/** d/dx times the output gradient. */
export type UnaryPartial = (x: Value, gradient: Value, y: Value) => Value;
/** d/da and d/db times the output gradient. */
export type BinaryPartials = (
  a: Value,
  b: Value,
  gradient: Value,
  y: Value,
) => readonly [() => Value, () => Value];

/** Makes an element-wise operation of two inputs. */
export function binaryOp(name: string, onnxName: string, partials: BinaryPartials): BinaryOp {
  return {
    name,
    infer: ([a, b]) => {
      if (a.dtype !== b.dtype) {
        throw new TypeError(`Cannot ${name} ${a.dtype} and ${b.dtype}: element types differ`);
      }
      return [{ dtype: a.dtype, shape: broadcastShapes(name, a.shape, b.shape) }];
    },
    emit: (node, emitter) => emitter.simple(node, onnxName),
    vjp: ({ inputs: [a, b], outputs: [y] }, [gradient]) => {
      const [da, db] = partials(a, b, gradient, y);
      // A constant needs no gradient, so none is built.
      const reduced = (input: Value, partial: () => Value): Value | null =>
        input.graph.constantData.has(input) ? null : sumTo(partial(), input.shape);
      return [reduced(a, da), reduced(b, db)];
    },
  };
}

/** Makes an element-wise operation of one input. */
export function unaryOp(name: string, emission: UnaryEmission, partial: UnaryPartial): UnaryOp {
  return {
    name,
    infer: ([{ dtype, shape }]) => [{ dtype, shape }],
    emit: (node, emitter) => {
      if (typeof emission === "string") emitter.simple(node, emission);
      else emission(emitter, ...emitter.names(node.inputs), ...emitter.names(node.outputs));
    },
    vjp: ({ inputs: [x], outputs: [y] }, [gradient]) => [partial(x, gradient, y)],
  };
}

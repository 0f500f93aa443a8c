/** @file Converts to another element type. */
import { DTYPES, type DType } from "../../dtype.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";

type CastAttributes = Readonly<{ dtype: DType }>;
const isFloat = (dtype: DType): boolean => dtype.includes("float");

export const castOp: Op<CastAttributes, readonly [Value]> = {
  name: "cast",
  infer: ([{ shape }], { dtype }) => [{ dtype, shape }],
  emit: (node, emitter) => emitter.simple(node, "Cast", { to: DTYPES[node.attributes.dtype].onnx }),
  vjp: ({ inputs: [x] }, [gradient]) => [isFloat(x.dtype) ? cast(gradient, x.dtype) : null],
};

/** Converts the elements to another type. */
export function cast(x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : applyOne(castOp, [x], { dtype });
}

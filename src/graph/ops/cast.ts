/** @file Another element type. */
import type { DType } from "../dtype.ts";
import { DTYPES } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";

type CastAttributes = Readonly<{ dtype: DType }>;
const isFloat = (dtype: DType): boolean => dtype.includes("float");

export const castOp: Op<CastAttributes> = {
  name: "cast",
  infer: ([x], { dtype }) => [{ dtype, shape: (x as Value).shape }],
  emit: (node, emitter) => emitter.simple(node, "Cast", { to: DTYPES[node.attributes.dtype].onnx }),
  vjp: (node, [gradient]) => {
    const { dtype } = node.inputs[0] as Value;
    return [isFloat(dtype) ? cast(gradient as Value, dtype) : null];
  },
};

/** Converts the elements to another type. */
export function cast(x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : applyOne(castOp, [x], { dtype });
}

/** @file -x. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";

export const negOp = unaryOp(
  "neg",
  (node, emitter) => emitter.simple(node, "Neg"),
  (_x, gradient) => neg(gradient),
);

/** Negates element-wise. */
export function neg(x: Value): Value {
  return applyOne(negOp, [x], {});
}

/** @file The larger of two, max(a, b), broadcast. Where they are equal, the gradient goes to b. */
import { applyOne, type Value } from "../../graph.ts";
import { binaryOp } from "../shapes/broadcast.ts";
import { greater } from "./compare.ts";
import { mul, sub } from "./elementwise.ts";

export const maximumOp = binaryOp("maximum", "Max", (a, b, gradient) => [
  () => mul(gradient, greater(a, b)),
  () => sub(gradient, mul(gradient, greater(a, b))),
]);

/** Takes the larger element-wise with broadcasting. */
export function maximum(a: Value, b: Value): Value {
  return applyOne(maximumOp, [a, b], {});
}

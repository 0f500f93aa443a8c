/** @file The larger of two, max(a, b), broadcast. Where they are equal, the gradient goes to b. */
import { type Value, binary } from "../../graph.ts";
import { binaryOp } from "../shapes/broadcast.ts";
import { greater } from "./compare.ts";
import { mul, sub } from "./elementwise.ts";

export const maximumOp = binaryOp("maximum", "Max", (a, b, gradient) => [
  () => mul(gradient, greater(a, b)),
  () => sub(gradient, mul(gradient, greater(a, b))),
]);

/** max(x, 0), element-wise; where x is 0, so is the gradient. */
export function relu(x: Value): Value {
  return maximum(x, x.graph.scalar(0));
}

/** Takes the larger element-wise with broadcasting. */
export const maximum = binary(maximumOp);

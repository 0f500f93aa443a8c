/** @file Mean over axes, which are kept with size 1; to differentiate, their sizes must be known. */
import { applyOne, type Value } from "../../graph.ts";
import { numElements } from "../../shape.ts";
import { mul } from "../pointwise/elementwise.ts";
import { expandLike, reductionOp } from "../shapes/reduce-expand.ts";

export const reduceMeanOp = reductionOp(
  "reduceMean",
  "ReduceMean",
  ({ inputs: [x], attributes: { axes } }, [gradient]) => {
    const count = numElements(axes.map((axis) => knownSize(x, axis)));
    return [expandLike(mul(gradient, x.graph.scalar(1 / count)), x)];
  },
);

function knownSize(x: Value, axis: number): number {
  const size = x.shape[axis];
  if (typeof size !== "number")
    throw new RangeError(`Cannot differentiate a mean over axis ${axis}: size ${size} is unknown`);
  return size;
}

/**
 * Averages over axes, counted from 0, and keeps them with size 1: [B, T, D] over 2 gives [B, T, 1].
 * @throws RangeError for axes that the value does not have, and in the gradient for axes of unknown size
 */
export function reduceMean(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceMeanOp, [x], { axes });
}

/**
 * @file Numbers within bounds:  y = min(max(x, low), high), either bound may be missing.   dx = dy where y = x, else 0
 *
 * At a bound the gradient flows, as in PyTorch's `clamp`.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { equal } from "./compare.ts";
import { mul } from "./elementwise.ts";

/** Null: there is no such bound. */
type ClampAttributes = Readonly<{ low: number | null; high: number | null }>;

export const clampOp: Op<ClampAttributes, readonly [x: Value]> = {
  name: "clamp",
  infer: ([{ dtype, shape }], { low, high }) => {
    if (dtype !== "float32" || (low ?? -Infinity) > (high ?? Infinity)) {
      throw new RangeError(`Cannot clamp ${dtype} to ${low} … ${high}: expected float32 and bounds in order`);
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const { low, high } = node.attributes;
    const bounds = [low, high].map((bound) => (bound === null ? "" : emitter.scalar(bound)));
    emitter.node("Clip", [...emitter.names(node.inputs), ...bounds], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x], outputs: [y] }, [gradient]) => [mul(gradient, equal(x, y))],
};

/** Keeps numbers within bounds. */
export function clamp(x: Value, low: number | null, high: number | null): Value {
  return applyOne(clampOp, [x], { low, high });
}

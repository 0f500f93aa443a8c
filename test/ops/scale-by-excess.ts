/** @file Reference and cases of scaleByExcess. */
import { map } from "./array64.ts";
import { type OpSuite, float, given, int64, integers, normal, opCase, reject } from "./op-suite.ts";

const half = float([], given(0.5));
/** Sizes on both sides of a half, none so near that a central difference would cross it. */
const clear = given(-2, -0.3, 0, 0.2, 0.9, -0.7, 0.499, 3);

export const scaleByExcessSuite: OpSuite = {
  op: "scaleByExcess",
  reference: ([x, t]) => {
    const threshold = t!.data[0]!;
    return [map(x!, (value) => value * Math.max(Math.abs(value) - threshold, 0))];
  },
  differentiable: () => true,
  cases: [
    opCase("sizes on both sides", [float([2, 4], clear), half]),
    opCase("a threshold of zero", [float([2, 4], clear), float([], given(0))], { smooth: false }),
    opCase("all below", [float([2, 4], normal(0.01)), half]),
    opCase("all above", [float([3], given(-2, 5, 0.9)), half]),
    opCase("symbolic sizes", [float(["B", 4], clear), half], { bindings: { B: 2 } }),
    opCase("no elements", [float(["B", 4]), half], { bindings: { B: 0 } }),
  ],
  rejected: [
    reject("a threshold for each row", [float([3, 4]), float([3, 1])]),
    reject("a threshold of another type", [float([3]), int64([], integers(3))]),
  ],
  realistic: opCase("[1536, 576]", [float([1536, 576]), half]),
};

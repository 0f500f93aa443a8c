/** @file Reference and cases of clamp. */
import { map } from "./array64.ts";
import { type OpSuite, float, given, int64, integers, normal, opCase, reject } from "./op-suite.ts";

/** Numbers on both sides of the bounds, none so near that a central difference would cross one. */
const clear = given(-2, -0.3, 0, 0.2, 0.9, -0.7, 0.499, 3);
const both = { low: -0.5, high: 0.7 };

interface Bounds {
  readonly low: number | null;
  readonly high: number | null;
}

export const clampSuite: OpSuite = {
  op: "clamp",
  reference: ([x], attributes) => {
    const { low, high } = attributes as unknown as Bounds;
    return [map(x!, (value) => Math.min(Math.max(value, low ?? -Infinity), high ?? Infinity))];
  },
  differentiable: () => true,
  cases: [
    opCase("both bounds", [float([2, 4], clear)], { attributes: both }),
    opCase("above alone", [float([2, 4], clear)], { attributes: { low: null, high: 0.7 } }),
    opCase("below alone", [float([2, 4], clear)], { attributes: { low: -0.5, high: null } }),
    opCase("no bounds", [float([2, 4], clear)], { attributes: { low: null, high: null } }),
    opCase("all within", [float([5], normal(0.01))], { attributes: both }),
    opCase("symbolic sizes", [float(["B", 4], clear)], { attributes: both, bindings: { B: 2 } }),
    opCase("no elements", [float(["B", 4])], { attributes: both, bindings: { B: 0 } }),
  ],
  rejected: [
    reject("whole numbers", [int64([3], integers(3))], both),
    reject("bounds out of order", [float([3])], { low: 1, high: 0 }),
  ],
  realistic: opCase("[1024, 1536]", [float([1024, 1536])], { attributes: both }),
};

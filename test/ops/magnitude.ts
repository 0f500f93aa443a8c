/** @file References and cases of abs, maximum and the comparisons: what thresholds are made of. */
import { at, broadcastShape, build, map } from "./array64.ts";
import {
  type Draw,
  type OpSuite,
  awayFromZero,
  float,
  given,
  int64,
  integers,
  normal,
  opCase,
  reject,
} from "./op-suite.ts";

export const absSuite: OpSuite = {
  op: "abs",
  reference: ([x]) => [map(x!, Math.abs)],
  differentiable: () => true,
  cases: [
    opCase("matrix", [float([4, 7], awayFromZero(0.01, 3))], { tolerance: 0 }),
    opCase("scalar", [float([], awayFromZero(0.01, 3))], { tolerance: 0 }),
    // Central differences of |x| are 0 at 0 as well.
    opCase("at zero", [float([3], given(-2, 0, 2))], { tolerance: 0 }),
    opCase("symbolic sizes", [float(["B", "T", 3], awayFromZero(0.01, 3))], { bindings: { B: 2, T: 5 } }),
    opCase("no elements", [float(["B", 3])], { bindings: { B: 0 } }),
  ],
  rejected: [],
  realistic: opCase("[1536, 576]", [float([1536, 576])]),
};

const whole: Draw = (random) => random.integer(3) - 1;

function pairSuite(op: string, f: (a: number, b: number) => number, differentiable: boolean): OpSuite {
  const pair = (a: readonly (number | string)[], b: readonly (number | string)[], draw = normal()) =>
    [float(a, draw), float(b, draw)] as const;
  return {
    op,
    reference: ([a, b]) => {
      const [x, y] = [a!, b!];
      return [build(broadcastShape(x.shape, y.shape), (index) => f(at(x, index), at(y, index)))];
    },
    differentiable: () => differentiable,
    cases: [
      opCase("equal shapes", pair([3, 5], [3, 5]), { tolerance: 0 }),
      opCase("many equal values", pair([6, 5], [6, 5], whole), { tolerance: 0, smooth: !differentiable }),
      opCase("scalar on the left", pair([], [4, 3]), { tolerance: 0 }),
      opCase("scalar on the right", pair([4, 3], []), { tolerance: 0 }),
      opCase("column over a matrix", pair([4, 3], [4, 1]), { tolerance: 0 }),
      opCase("both sides grow", pair([2, 1, 3], [5, 1]), { tolerance: 0 }),
      opCase("symbolic sizes", pair(["B", "T", 4], ["T", 1]), { bindings: { B: 2, T: 3 }, tolerance: 0 }),
      opCase("no elements", pair(["B", 4], ["B", 1]), { bindings: { B: 0 } }),
    ],
    rejected: [
      reject("sizes that differ", pair([2, 3], [2, 4])),
      reject("element types that differ", [float([2]), int64([2], integers(3))]),
    ],
    realistic: opCase("[1536, 576] and a scalar", pair([1536, 576], [])),
  };
}

export const maximumSuite = pairSuite("maximum", Math.max, true);
export const greaterSuite = pairSuite("greater", (a, b) => Number(a > b), false);
export const equalSuite = pairSuite("equal", (a, b) => Number(a === b), false);

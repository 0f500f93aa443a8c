/** @file Reference and cases of kthSmallest. */
import {
  type Draw,
  type OpCase,
  type OpSuite,
  float,
  int64,
  integers,
  normal,
  opCase,
  reject,
} from "./op-suite.ts";

const kth = (
  name: string,
  shape: readonly number[],
  k: number,
  draw: Draw = normal(),
  smooth = true,
): OpCase => opCase(name, [float(shape, draw)], { attributes: { k }, tolerance: 0, smooth });

/** Too large for central differences of each element; the gradient does not depend on the size. */
const large = (name: string, shape: readonly number[], k: number, draw?: Draw): OpCase =>
  kth(name, shape, k, draw, false);

export const kthSmallestSuite: OpSuite = {
  op: "kthSmallest",
  reference: ([x], attributes) => {
    const sorted = x!.data.toSorted();
    return [{ shape: [], data: Float64Array.of(sorted[(attributes["k"] as number) - 1]!) }];
  },
  differentiable: () => true,
  cases: [
    kth("the smallest", [4, 7], 1),
    kth("the largest", [4, 7], 28),
    kth("from the low end", [4, 7], 9),
    kth("from the high end", [4, 7], 22),
    kth("the only element", [1, 1], 1),
    kth("a scalar", [], 1),
    kth("three axes", [2, 3, 4], 11),
    kth("among equal values", [5, 5], 13, (random) => random.integer(3), false),
    large("the middle of many", [200, 301], 30_100),
    large("nine tenths of many", [200, 301], 54_180),
    large("the smallest of many", [200, 301], 1),
    large("the largest of many", [200, 301], 60_200),
    large("close to the end of many", [200, 301], 60_190),
    large("a long vector", [70_001], 12_345),
    large("many magnitudes", [200, 301], 42_140, (random) => Math.abs(random.normal()) ** 9),
    large("many equal values", [200, 301], 42_140, (random) => random.integer(4)),
    large("all equal", [200, 301], 5, () => 1.5),
  ],
  rejected: [
    reject("number 0", [float([3])], { k: 0 }),
    reject("a number above the number of elements", [float([3, 2])], { k: 7 }),
    reject("half a number", [float([3])], { k: 1.5 }),
    reject("sizes that are not known", [float(["B", 3])], { k: 1 }),
    reject("integers", [int64([3], integers(3))], { k: 1 }),
  ],
  realistic: kth("9/10 of [1536, 576]", [1536, 576], 796_263),
};

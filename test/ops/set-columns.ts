/** @file Reference and cases of setColumns. */
import { at, build, eachIndex, put } from "./array64.ts";
import { type OpSuite, float, given, int64, opCase, reject } from "./op-suite.ts";

export const setColumnsSuite: OpSuite = {
  op: "setColumns",
  reference: ([x, own, columns]) => {
    const [values, others, numbers] = [x!, own!, columns!];
    const result = build(values.shape, (index) => at(values, index));
    eachIndex(others.shape, (index) =>
      put(result, [...index.slice(0, -1), at(numbers, index.slice(-1))], at(others, index)),
    );
    return [result];
  },
  differentiable: (input) => input < 2,
  cases: [
    opCase("of rows of a batch", [float(["B", "T", 5]), float(["B", "T", 3]), int64([3], given(4, 0, 2))], {
      bindings: { B: 2, T: 3 },
    }),
    opCase("all of them", [float([2, 3]), float([2, 3]), int64([3], given(2, 0, 1))]),
    opCase("of a vector", [float([7]), float([2]), int64([2], given(6, 3))]),
    opCase("of no rows", [float(["N", 5]), float(["N", 1]), int64([1], given(3))], { bindings: { N: 0 } }),
  ],
  rejected: [
    reject("numbers that are no integers", [float([2, 5]), float([2, 1]), float([1])]),
    reject("another number of columns", [float([2, 5]), float([2, 3]), int64([2], given(0, 1))]),
    reject("another number of rows", [float([2, 5]), float([3, 2]), int64([2], given(0, 1))]),
  ],
  realistic: opCase("4 of 49152 columns", [
    float([256, 49152]),
    float([256, 4]),
    int64([4], given(1, 2, 40_000, 17)),
  ]),
};

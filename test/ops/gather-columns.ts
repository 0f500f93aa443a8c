/** @file Reference and cases of gatherColumns. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, int64, integers, opCase, reject } from "./op-suite.ts";

export const gatherColumnsSuite: OpSuite = {
  op: "gatherColumns",
  reference: ([x, columns]) => {
    const [values, numbers] = [x!, columns!];
    const fromStart = (column: number): number => (column < 0 ? values.shape.at(-1)! + column : column);
    return [
      build([...values.shape.slice(0, -1), ...numbers.shape], (index) =>
        at(values, [...index.slice(0, -1), fromStart(at(numbers, index.slice(-1)))]),
      ),
    ];
  },
  differentiable: () => false,
  cases: [
    opCase("of rows of a batch", [float(["B", "T", 5]), int64([3], given(4, 0, 4))], {
      bindings: { B: 2, T: 3 },
      tolerance: 0,
    }),
    opCase("counted from the end", [float([2, 5]), int64([3], given(-3, -1, 0))], { tolerance: 0 }),
    opCase("of a vector", [float([7]), int64([2], integers(7))], { tolerance: 0 }),
    opCase("of no rows", [float(["N", 5]), int64([2], integers(5))], { bindings: { N: 0 }, tolerance: 0 }),
  ],
  rejected: [
    reject("columns that are no integers", [float([2, 5]), float([2])]),
    reject("columns in two axes", [float([2, 5]), int64([2, 1], integers(5))]),
  ],
  realistic: opCase("32 of 1536 columns", [float([256, 1536]), int64([32], integers(1536))]),
};

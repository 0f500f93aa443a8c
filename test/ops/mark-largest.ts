/** @file Reference and cases of markLargest. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, opCase, reject, uniform } from "./op-suite.ts";

export const markLargestSuite: OpSuite = {
  op: "markLargest",
  reference: ([x], attributes) => {
    const { shape } = x!;
    const [M, N] = shape as [number, number];
    return [
      build([M, N], ([m, n]) => {
        const row = Array.from({ length: N }, (_, other) => at(x!, [m!, other]));
        return row.filter((value) => value > row[n!]!).length < (attributes["k"] as number) ? 1 : 0;
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    opCase("two of five", [float([6, 5])], { attributes: { k: 2 }, tolerance: 0 }),
    opCase("all of three", [float([4, 3])], { attributes: { k: 3 }, tolerance: 0 }),
    opCase("one below zero", [float([2, 3], given(-3, -1, -2, -1, -3, -2))], {
      attributes: { k: 1 },
      tolerance: 0,
    }),
    opCase("rows of a batch", [float(["B*T", 4], uniform(0, 1))], {
      attributes: { k: 2 },
      bindings: { B: 2, T: 3 },
      tolerance: 0,
    }),
  ],
  rejected: [
    reject("more columns than there are", [float([4, 3])], { k: 4 }),
    reject("another number of axes", [float([4, 3, 2])], { k: 1 }),
  ],
  realistic: opCase("4 of 8 groups for 1024 rows", [float([1024, 8], uniform(0, 1))], {
    attributes: { k: 4 },
  }),
};

/** @file Reference and cases of logSumExp. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, opCase, reject } from "./op-suite.ts";

export const logSumExpSuite: OpSuite = {
  op: "logSumExp",
  reference: ([x]) => {
    const { shape } = x!;
    const width = shape.at(-1)!;
    return [
      build([...shape.slice(0, -1), 1], (index) => {
        const row = Array.from({ length: width }, (_, i) => at(x!, [...index.slice(0, -1), i]));
        const largest = Math.max(...row);
        return largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
      }),
    ];
  },
  differentiable: () => true,
  cases: [
    opCase("rows", [float([4, 5])]),
    opCase("rows of a batch", [float(["N", 7])], { bindings: { N: 3 } }),
    opCase("one column", [float([3, 1])]),
    opCase("numbers whose exponentials are too large", [float([1, 3], given(200, 201, 199))]),
  ],
  rejected: [reject("a scalar", [float([])])],
  realistic: opCase("128 rows of 16384", [float([128, 16_384])]),
};

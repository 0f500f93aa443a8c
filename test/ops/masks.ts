/** @file References and cases of what is read off a mask of tokens. */
import { at, build } from "./array64.ts";
import { type InputSpec, type OpSuite, float, given, int64, opCase, reject } from "./op-suite.ts";

/** Three texts of five places: a whole one, and padding at either end. */
const MASK = int64(["B", "T"], given(1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1));
const BINDINGS = { B: 3, T: 5 };
const ONES = int64([16, 256], () => 1);

const exact = { tolerance: 0, bindings: BINDINGS };
const NO_MASK: readonly InputSpec[] = [float([3, 5])];

export const maskLengthsSuite: OpSuite = {
  op: "maskLengths",
  reference: ([mask]) => {
    const [B, S] = mask!.shape as [number, number];
    const numMarked = (b: number): number =>
      Array.from({ length: S }, (_, s) => at(mask!, [b, s])).reduce((sum, mark) => sum + mark, 0);
    return [build([B], ([b]) => numMarked(b!) - 1), build([1], () => S)];
  },
  differentiable: () => false,
  cases: [opCase("texts of many lengths", [MASK], exact)],
  rejected: [reject("a mask of floats", NO_MASK)],
  realistic: opCase("16 rows of 256", [ONES]),
};

export const maskPositionsSuite: OpSuite = {
  op: "maskPositions",
  reference: ([mask]) => [
    build(mask!.shape, ([b, t]) => {
      const before = Array.from({ length: t! + 1 }, (_, s) => at(mask!, [b!, s]));
      return Math.max(0, before.reduce((sum, mark) => sum + mark, 0) - 1);
    }),
  ],
  differentiable: () => false,
  cases: [opCase("padding at either end", [MASK], exact)],
  rejected: [reject("a mask of floats", NO_MASK), reject("a mask of one row", [int64([5], () => 1)])],
  realistic: opCase("16 rows of 256", [ONES]),
};

export const markedRowSuite: OpSuite = {
  op: "markedRow",
  reference: ([x, marks], { which }) => {
    const [B, T, D] = x!.shape as [number, number, number];
    return [
      build([B, D], ([b, d]) => {
        const marked = Array.from({ length: T }, (_, t) => t).filter((t) => at(marks!, [b!, t]) === 1);
        return at(x!, [b!, marked.at(which === "first" ? 0 : -1) ?? 0, d!]);
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    ...["first", "last"].map((which) =>
      opCase(`the ${which} of padded texts`, [float(["B", "T", 4]), MASK], {
        ...exact,
        attributes: { which },
      }),
    ),
    opCase("the first where none is marked", [float([1, 3, 2]), int64([1, 3], () => 0)], {
      attributes: { which: "last" },
      tolerance: 0,
    }),
  ],
  rejected: [
    reject("marks of other rows", [float([2, 3, 4]), int64([2, 4], () => 1)], { which: "first" }),
    reject("marks of floats", [float([2, 3, 4]), float([2, 3])], { which: "last" }),
  ],
  realistic: opCase("16 rows of 256", [float([16, 256, 768]), ONES], { attributes: { which: "last" } }),
};

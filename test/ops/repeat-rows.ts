/** @file References and cases of repeatRows and sumRepeats. */
import { at, build, eachIndex, put } from "./array64.ts";
import { type OpSuite, float, given, int64, opCase, reject } from "./op-suite.ts";

/** Each of 1024 rows 8 times, mixed. */
const MIXED = (_: unknown, place: number): number => (place * 5) % 1024;

export const repeatRowsSuite: OpSuite = {
  op: "repeatRows",
  reference: ([x, rows]) => {
    const [source, r] = [x!, rows!];
    return [
      build([...r.shape, ...source.shape.slice(1)], ([i, ...rest]) => at(source, [at(r, [i!]), ...rest])),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("each twice", [float([3, 4]), int64([6], given(2, 0, 1, 1, 2, 0))], { attributes: { k: 2 } }),
    opCase("each once", [float([3, 4]), int64([3], given(2, 0, 1))], { attributes: { k: 1 } }),
    opCase("rows of a batch", [float(["B*T", 2, 2]), int64(["3*B*T"], given(1, 0, 1, 0, 0, 1))], {
      attributes: { k: 3 },
      bindings: { B: 2, T: 1 },
    }),
  ],
  rejected: [
    reject("another number of rows", [float([3, 4]), int64([5], given(2, 0, 1, 1, 2))], { k: 2 }),
    reject("rows that are not integers", [float([3, 4]), float([6])], { k: 2 }),
  ],
  realistic: opCase("1024 rows of 576, 8 times", [float([1024, 576]), int64([8192], MIXED)], {
    attributes: { k: 8 },
  }),
};

export const sumRepeatsSuite: OpSuite = {
  op: "sumRepeats",
  reference: ([x, rows, like]) => {
    const [source, r] = [x!, rows!];
    const result = build(like!.shape, () => 0);
    eachIndex(source.shape, (index) => {
      const [i, ...rest] = index;
      const to = [at(r, [i!]), ...rest];
      put(result, to, at(result, to) + at(source, index));
    });
    return [result];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("each twice", [float([6, 4]), int64([6], given(2, 0, 1, 1, 2, 0)), float([3, 4])], {
      attributes: { k: 2 },
    }),
    opCase("each once", [float([3, 4]), int64([3], given(2, 0, 1)), float([3, 4])], { attributes: { k: 1 } }),
    opCase("no rows", [float(["2*M", 4]), int64(["2*M"], given()), float(["M", 4])], {
      attributes: { k: 2 },
      bindings: { M: 0 },
    }),
  ],
  rejected: [
    reject("another width", [float([6, 4]), int64([6], given(2, 0, 1, 1, 2, 0)), float([3, 5])], { k: 2 }),
    reject("another number of rows", [float([5, 4]), int64([5], given(2, 0, 1, 1, 2)), float([3, 4])], {
      k: 2,
    }),
  ],
  realistic: opCase(
    "8 rows each to [1024, 576]",
    [float([8192, 576]), int64([8192], MIXED), float([1024, 576])],
    {
      attributes: { k: 8 },
    },
  ),
};

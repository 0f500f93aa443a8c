/** @file References and cases of gatherRows, scatterAddRows and addRows. */
import { at, build, eachIndex, put } from "./array64.ts";
import { type OpSuite, float, given, int64, integers, opCase, reject } from "./op-suite.ts";

export const gatherRowsSuite: OpSuite = {
  op: "gatherRows",
  reference: ([table, rows]) => {
    const [t, r] = [table!, rows!];
    const rank = r.shape.length;
    return [
      build([...r.shape, ...t.shape.slice(1)], (index) =>
        at(t, [at(r, index.slice(0, rank)), ...index.slice(rank)]),
      ),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("a vector of rows", [float([5, 3]), int64([4], integers(5))], { tolerance: 0 }),
    opCase("a row many times", [float([5, 3]), int64([6], given(2, 2, 2, 0, 2, 2))], { tolerance: 5e-6 }),
    opCase("one row of one", [float([1, 1]), int64([1], given(0))], { tolerance: 0 }),
    opCase("a single row", [float([5, 3]), int64([], given(4))], { tolerance: 0 }),
    opCase("a batch of rows", [float([7, 4]), int64(["B", "T"], integers(7))], { bindings: { B: 2, T: 5 } }),
    opCase("a vector as table", [float([7]), int64([3], integers(7))], { tolerance: 0 }),
    opCase("no rows", [float([5, 3]), int64(["T"], integers(5))], { bindings: { T: 0 }, tolerance: 0 }),
  ],
  rejected: [
    reject("rows that are not integers", [float([5, 3]), float([2])]),
    reject("a table without axes", [float([]), int64([2], integers(5))]),
  ],
  realistic: opCase("1024 of 49152 rows of 576", [float([49152, 576]), int64([1024], integers(49152))]),
};

export const scatterAddRowsSuite: OpSuite = {
  op: "scatterAddRows",
  reference: ([x, rows, like]) => {
    const [source, r] = [x!, rows!];
    const result = build(like!.shape, () => 0);
    const rank = r.shape.length;
    eachIndex(source.shape, (index) => {
      const to = [at(r, index.slice(0, rank)), ...index.slice(rank)];
      put(result, to, at(result, to) + at(source, index));
    });
    return [result];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("a vector of rows", [float([4, 3]), int64([4], integers(5)), float([5, 3])]),
    opCase("all onto one row", [float([4, 3]), int64([4], given(2, 2, 2, 2)), float([5, 3])]),
    opCase("one row of one", [float([1, 1]), int64([1], given(0)), float([1, 1])]),
    opCase("a batch of rows", [float(["B", "T", 4]), int64(["B", "T"], integers(7)), float([7, 4])], {
      bindings: { B: 2, T: 5 },
    }),
    opCase("no rows", [float(["T", 3]), int64(["T"], integers(5)), float([5, 3])], { bindings: { T: 0 } }),
  ],
  rejected: [
    reject("another width", [float([4, 3]), int64([4], integers(5)), float([5, 2])]),
    reject("another number of rows", [float([4, 3]), int64([3], integers(5)), float([5, 3])]),
    reject("rows that are not integers", [float([4, 3]), float([4]), float([5, 3])]),
  ],
  realistic: opCase("1024 rows into [49152, 576]", [
    float([1024, 576]),
    int64([1024], integers(49152)),
    float([49152, 576]),
  ]),
};

export const addRowsSuite: OpSuite = {
  op: "addRows",
  reference: ([table, x, rows]) => {
    const [start, source, r] = [table!, x!, rows!];
    const result = build(start.shape, (index) => at(start, index));
    const rank = r.shape.length;
    eachIndex(source.shape, (index) => {
      const to = [at(r, index.slice(0, rank)), ...index.slice(rank)];
      put(result, to, at(result, to) + at(source, index));
    });
    return [result];
  },
  differentiable: (input) => input !== 2,
  cases: [
    opCase("a vector of rows", [float([5, 3]), float([4, 3]), int64([4], integers(5))]),
    opCase("all onto one row", [float([5, 3]), float([4, 3]), int64([4], given(2, 2, 2, 2))]),
    opCase("one row of one", [float([1, 1]), float([1, 1]), int64([1], given(0))]),
    opCase("no rows", [float([5, 3]), float(["T", 3]), int64(["T"], integers(5))], { bindings: { T: 0 } }),
  ],
  rejected: [
    reject("another width", [float([5, 2]), float([4, 3]), int64([4], integers(5))]),
    reject("another number of rows", [float([5, 3]), float([4, 3]), int64([3], integers(5))]),
    reject("rows that are not integers", [float([5, 3]), float([4, 3]), float([4])]),
  ],
  realistic: opCase("1024 rows onto [49152, 576]", [
    float([49152, 576]),
    float([1024, 576]),
    int64([1024], integers(49152)),
  ]),
};

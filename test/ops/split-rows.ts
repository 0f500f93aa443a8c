/** @file References and cases of splitRows and joinRows. Sizes of parts are symbols named after the input that tells them. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, int64, opCase, reject } from "./op-suite.ts";

export const splitRowsSuite: OpSuite = {
  op: "splitRows",
  reference: ([x, counts]) => {
    let from = 0;
    return Array.from(counts!.data, (count) => {
      const start = from;
      from += count;
      return build([count, ...x!.shape.slice(1)], ([row, ...rest]) => at(x!, [start + row!, ...rest]));
    });
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("three parts", [float([6, 2]), int64([3], given(1, 2, 3))], {
      attributes: { numParts: 3, id: 1 },
      bindings: { part0of1: 1, part1of1: 2, part2of1: 3 },
      tolerance: 0,
      seeded: [0, 2],
    }),
    opCase("a part without rows", [float([3, 2]), int64([2], given(0, 3))], {
      attributes: { numParts: 2, id: 1 },
      bindings: { part0of1: 0, part1of1: 3 },
      tolerance: 0,
      seeded: [1],
    }),
  ],
  rejected: [
    reject("another number of parts", [float([6, 2]), int64([3], given(1, 2, 3))], { numParts: 2, id: 1 }),
  ],
  realistic: opCase("8192 rows into 4 parts", [float([8192, 64]), int64([4], given(8192, 0, 0, 0))], {
    attributes: { numParts: 4, id: 1 },
    bindings: { part0of1: 8192, part1of1: 0, part2of1: 0, part3of1: 0 },
  }),
};

export const joinRowsSuite: OpSuite = {
  op: "joinRows",
  reference: ([like, , ...parts]) => {
    const width = parts[0]!.shape.slice(1);
    const data = Float64Array.from(parts.flatMap((part) => [...part.data]));
    return [{ shape: [like!.shape[0]!, ...width], data }];
  },
  differentiable: (input) => input >= 2,
  cases: [
    opCase(
      "two parts",
      [float([5, 3]), int64([2], given(2, 3)), float(["part0of1", 4]), float(["part1of1", 4])],
      {
        attributes: { id: 1 },
        bindings: { part0of1: 2, part1of1: 3 },
        tolerance: 0,
      },
    ),
  ],
  rejected: [
    reject("parts of unlike width", [
      float([5, 3]),
      int64([2], given(2, 3)),
      float(["part0of1", 4]),
      float(["part1of1", 5]),
    ]),
  ],
  realistic: opCase(
    "two parts of 4096 rows",
    [float([8192, 64]), int64([2], given(4096, 4096)), float(["part0of1", 64]), float(["part1of1", 64])],
    { attributes: { id: 1 }, bindings: { part0of1: 4096, part1of1: 4096 } },
  ),
};

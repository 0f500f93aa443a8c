/** @file References and cases of reduceSum, reduceMean and reduceMax. */
import { type Array64, at, build, eachIndex, put } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

function sum(x: Array64, axes: readonly number[]): Array64 {
  const result = build(
    x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
    () => 0,
  );
  eachIndex(x.shape, (index) => {
    const to = index.map((i, axis) => (axes.includes(axis) ? 0 : i));
    put(result, to, at(result, to) + at(x, index));
  });
  return result;
}

const reduction = (
  name: string,
  shape: readonly (number | string)[],
  axes: readonly number[],
  bindings: Record<string, number> = {},
): OpCase => opCase(name, [float(shape)], { attributes: { axes }, bindings });

const rejected = [
  reject("an axis that is not there", [float([2, 3])], { axes: [2] }),
  reject("an axis counted from the end", [float([2, 3])], { axes: [-1] }),
];

export const reduceSumSuite: OpSuite = {
  op: "reduceSum",
  reference: ([x], attributes) => [sum(x!, attributes["axes"] as number[])],
  differentiable: () => true,
  cases: [
    reduction("last axis", [3, 5], [1]),
    reduction("first axis", [3, 5], [0]),
    reduction("two axes", [2, 3, 4], [0, 2]),
    reduction("all axes", [2, 3], [0, 1]),
    reduction("no axes", [2, 3], []),
    reduction("axis of size 1", [3, 1], [1]),
    reduction("symbolic axis", ["B", "T", 3], [1], { B: 2, T: 5 }),
    reduction("nothing to add", ["B", 3], [0], { B: 0 }),
    reduction("no rows", ["B", 3], [1], { B: 0 }),
  ],
  rejected,
  realistic: reduction("[1024, 576], last axis", [1024, 576], [1]),
};

export const reduceMeanSuite: OpSuite = {
  op: "reduceMean",
  reference: ([x], attributes) => {
    const { shape } = x!;
    const axes = attributes["axes"] as number[];
    const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
    const total = sum(x!, axes);
    return [{ shape: total.shape, data: total.data.map((v) => v / count) }];
  },
  differentiable: () => true,
  cases: [
    reduction("last axis", [3, 5], [1]),
    reduction("two axes", [2, 3, 4], [0, 2]),
    reduction("no axes", [2, 3], []),
    reduction("axis of size 1", [3, 1], [1]),
    reduction("symbolic rows", ["B", "T", 3], [2], { B: 2, T: 5 }),
    reduction("no rows", ["B", 3], [1], { B: 0 }),
  ],
  rejected,
  realistic: reduction("[1024, 576], last axis", [1024, 576], [1]),
};

export const reduceMaxSuite: OpSuite = {
  op: "reduceMax",
  reference: ([x], attributes) => {
    const axes = attributes["axes"] as number[];
    const from = x!;
    const result = build(
      from.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
      () => -Infinity,
    );
    eachIndex(from.shape, (index) => {
      const to = index.map((i, axis) => (axes.includes(axis) ? 0 : i));
      put(result, to, Math.max(at(result, to), at(from, index)));
    });
    return [result];
  },
  differentiable: () => false,
  cases: [
    reduction("last axis", [3, 5], [1]),
    reduction("two axes", [2, 3, 4], [0, 2]),
    reduction("no axes", [2, 3], []),
    reduction("symbolic axes", ["B", "T", 3], [0, 1], { B: 2, T: 5 }),
  ],
  rejected,
  realistic: reduction("[1024, 576], first axis", [1024, 576], [0]),
};

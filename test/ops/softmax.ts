/** @file Reference and cases of softmax. */
import { type Array64, build, at } from "./array64.ts";
import { type OpSuite, float, given, normal, opCase } from "./op-suite.ts";

/** Softmax over the last axis. */
export function softmax(x: Array64): Array64 {
  const width = x.shape.at(-1)!;
  const row = (index: readonly number[]): number[] =>
    Array.from({ length: width }, (_, i) => at(x, [...index.slice(0, -1), i]));
  return build(x.shape, (index) => {
    const values = row(index);
    const largest = Math.max(...values);
    const total = values.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    return Math.exp(at(x, index) - largest) / total;
  });
}

export const softmaxSuite: OpSuite = {
  op: "softmax",
  reference: ([x]) => [softmax(x!)],
  differentiable: () => true,
  cases: [
    opCase("matrix", [float([3, 5])]),
    opCase("vector", [float([6])]),
    opCase("axis of size 1", [float([3, 1])]),
    opCase("four axes", [float(["B", 2, "T", "T"])], { bindings: { B: 2, T: 3 } }),
    opCase("large values", [float([2, 3], given(1000, 999, -1000, -500, -501, -502))], { tolerance: 1e-5 }),
    opCase("masked entries", [float([2, 3], given(1, -3e38, 0.5, -3e38, 2, -3e38))]),
    opCase("wide range", [float([3, 7], normal(10))], { tolerance: 1e-5 }),
    opCase("no rows", [float(["B", 4])], { bindings: { B: 0 } }),
  ],
  rejected: [],
  realistic: opCase("[36, 256, 256]", [float([36, 256, 256])]),
};

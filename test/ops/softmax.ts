/** @file Reference and cases of softmax. */
import type { Array64 } from "./array64.ts";
import { type OpSuite, float, given, normal, opCase } from "./op-suite.ts";

/** Softmax over the last axis. Row by row: checks of whole blocks compute hundreds. */
export function softmax({ shape, data }: Array64): Array64 {
  const width = shape.at(-1)!;
  const result = new Float64Array(data.length);
  for (let start = 0; start < data.length; start += width) {
    const row = data.subarray(start, start + width);
    const largest = row.reduce((most, value) => Math.max(most, value), -Infinity);
    const powers = row.map((value) => Math.exp(value - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    for (const [i, power] of powers.entries()) result[start + i] = power / total;
  }
  return { shape, data: result };
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

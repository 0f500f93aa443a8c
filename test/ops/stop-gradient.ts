/** @file Reference and cases of stopGradient. */
import { type OpSuite, float, opCase } from "./op-suite.ts";

export const stopGradientSuite: OpSuite = {
  op: "stopGradient",
  reference: ([x]) => [x!],
  differentiable: () => false,
  cases: [
    opCase("matrix", [float([3, 5])], { tolerance: 0 }),
    opCase("scalar", [float([])], { tolerance: 0 }),
    opCase("symbolic axes", [float(["B", 4])], { bindings: { B: 2 }, tolerance: 0 }),
    opCase("no rows", [float(["B", 4])], { bindings: { B: 0 }, tolerance: 0 }),
  ],
  rejected: [],
  realistic: opCase("[1536, 1]", [float([1536, 1])]),
};

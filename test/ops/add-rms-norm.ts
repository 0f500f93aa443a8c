/** @file Reference and cases of addRmsNorm: the norm of a sum. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, normal, opCase, reject } from "./op-suite.ts";
import { rmsNormSuite } from "./rms-norm.ts";

const ATTRIBUTES = { epsilon: 1e-5 };

const norm = (
  name: string,
  shape: readonly (number | string)[],
  bindings: Record<string, number> = {},
): OpCase =>
  opCase(name, [float(shape), float(shape), float([shape.at(-1) as number], normal(0.5, 1))], {
    attributes: ATTRIBUTES,
    bindings,
    tolerance: 5e-6,
  });

export const addRmsNormSuite: OpSuite = {
  op: "addRmsNorm",
  reference: ([a, b, weight], attributes, bindings) => {
    const [left, right] = [a!, b!];
    const sum = build(left.shape, (index) => at(left, index) + at(right, index));
    const [y] = rmsNormSuite.reference([sum, weight!], attributes, bindings);
    return [sum, y!];
  },
  differentiable: () => false,
  cases: [
    norm("rows", [2, 3, 8]),
    norm("width 1", [1, 4, 1]),
    norm("tokens of a batch", ["B", "T", 6], { B: 2, T: 3 }),
    norm("no tokens", ["B", "T", 6], { B: 0, T: 3 }),
  ],
  rejected: [
    reject("a row for all", [float([2, 3, 4]), float([1, 1, 4]), float([4])], ATTRIBUTES),
    reject("a weight of another width", [float([2, 3, 4]), float([2, 3, 4]), float([3])], ATTRIBUTES),
    reject("two axes", [float([3, 4]), float([3, 4]), float([4])], ATTRIBUTES),
  ],
  realistic: norm("[16, 64, 576]", [16, 64, 576]),
};

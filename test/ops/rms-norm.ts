/** @file Reference and cases of rmsNorm. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, type Draw, float, normal, opCase, reject } from "./op-suite.ts";

const norm = (
  name: string,
  shape: readonly (number | string)[],
  bindings: Record<string, number> = {},
  draw: Draw = normal(),
  epsilon = 1e-5,
): OpCase =>
  opCase(name, [float(shape, draw), float([shape.at(-1) as number], normal(0.5, 1))], {
    attributes: { epsilon },
    bindings,
    tolerance: 5e-6,
  });

export const rmsNormSuite: OpSuite = {
  op: "rmsNorm",
  reference: ([x, weight], attributes) => {
    const [input, w] = [x!, weight!];
    const width = input.shape.at(-1)!;
    const r = build([...input.shape.slice(0, -1), 1], (index) => {
      let squares = 0;
      for (let i = 0; i < width; i++) squares += at(input, [...index.slice(0, -1), i]) ** 2;
      return 1 / Math.sqrt(squares / width + (attributes["epsilon"] as number));
    });
    return [build(input.shape, (index) => at(w, index) * at(input, index) * at(r, index)), r];
  },
  differentiable: () => true,
  cases: [
    norm("rows", [3, 8]),
    norm("a vector", [8]),
    norm("width 1", [4, 1]),
    norm("tokens of a batch", ["B", "T", 6], { B: 2, T: 3 }),
    norm("large values", [3, 8], {}, normal(1000)),
    norm("values near epsilon", [3, 8], {}, normal(0.01), 1e-4),
    norm("no tokens", ["N", 6], { N: 0 }),
  ],
  rejected: [
    reject("a weight of another width", [float([2, 4]), float([3])], { epsilon: 1e-5 }),
    reject("a weight with two axes", [float([2, 4]), float([4, 4])], { epsilon: 1e-5 }),
  ],
  realistic: norm("[1024, 576]", [1024, 576]),
};

/** @file Reference and cases of layerNorm. */
import { at, build } from "./array64.ts";
import { type Draw, type OpCase, type OpSuite, float, normal, opCase, reject } from "./op-suite.ts";

const norm = (
  name: string,
  shape: readonly (number | string)[],
  bindings: Record<string, number> = {},
  draw: Draw = normal(),
  epsilon = 1e-5,
): OpCase => {
  const width = shape.at(-1) as number;
  return opCase(name, [float(shape, draw), float([width], normal(0.5, 1)), float([width])], {
    attributes: { epsilon },
    bindings,
    tolerance: 5e-6,
  });
};

export const layerNormSuite: OpSuite = {
  op: "layerNorm",
  reference: ([x, weight, bias], attributes) => {
    const [input, w, b] = [x!, weight!, bias!];
    const width = input.shape.at(-1)!;
    const moments = [...input.shape.slice(0, -1), 1];
    const meanOf = (index: readonly number[], f: (value: number) => number): number => {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += f(at(input, [...index.slice(0, -1), i]));
      return sum / width;
    };
    const mean = build(moments, (index) => meanOf(index, (value) => value));
    const r = build(moments, (index) => {
      const center = at(mean, index);
      const variance = meanOf(index, (value) => (value - center) ** 2);
      return 1 / Math.sqrt(variance + (attributes["epsilon"] as number));
    });
    const y = build(
      input.shape,
      (index) => at(w, index) * (at(input, index) - at(mean, index)) * at(r, index) + at(b, index),
    );
    return [y, mean, r];
  },
  differentiable: () => true,
  cases: [
    norm("rows", [3, 8]),
    norm("a vector", [8]),
    norm("width 1", [4, 1]),
    norm("tokens of a batch", ["B", "T", 6], { B: 2, T: 3 }),
    norm("large values", [3, 8], {}, normal(1000)),
    norm("values far from zero", [3, 8], {}, normal(1, 3)),
    norm("values near epsilon", [3, 8], {}, normal(0.01), 1e-4),
    norm("the epsilon of vision models", [3, 8], {}, normal(), 1e-12),
    norm("no tokens", ["N", 6], { N: 0 }),
  ],
  rejected: [
    reject("a weight of another width", [float([2, 4]), float([3]), float([4])], { epsilon: 1e-5 }),
    reject("a bias of another width", [float([2, 4]), float([4]), float([3])], { epsilon: 1e-5 }),
    reject("a weight with two axes", [float([2, 4]), float([4, 4]), float([4])], { epsilon: 1e-5 }),
  ],
  realistic: norm("[1024, 768]", [1024, 768]),
};

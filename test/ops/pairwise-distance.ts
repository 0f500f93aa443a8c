/** @file Reference and cases of pairwiseDistance. */
import { type Array64, at, build } from "./array64.ts";
import { type OpCase, type OpSuite, type Draw, float, given, normal, opCase, reject } from "./op-suite.ts";

type Shape = readonly (number | string)[];

const rows = (
  name: string,
  u: Shape,
  v: Shape,
  bindings: Record<string, number> = {},
  draw: Draw = normal(),
): OpCase => opCase(name, [float(u, draw), float(v, draw)], { bindings, tolerance: 5e-6 });

export const pairwiseDistanceSuite: OpSuite = {
  op: "pairwiseDistance",
  reference: ([u, v]) => {
    const [a, b] = [u as Array64, v as Array64];
    return [
      build([a.shape[0] as number, b.shape[0] as number], ([i, j]) => {
        let squares = 0;
        for (let q = 0; q < (a.shape[1] as number); q++) {
          squares += (at(a, [i as number, q]) - at(b, [j as number, q])) ** 2;
        }
        return Math.sqrt(squares);
      }),
    ];
  },
  differentiable: () => true,
  cases: [
    rows("few rows", [3, 4], [5, 4]),
    rows("small values", [3, 4], [5, 4], {}, normal(0.01)),
    rows("large values", [3, 4], [5, 4], {}, normal(100)),
    rows("one row each", [1, 4], [1, 4]),
    rows("many columns", [3, 40], [5, 40]),
    rows("symbolic numbers of rows", ["M", 4], ["N", 4], { M: 2, N: 3 }),
    rows("no rows", ["M", 4], [3, 4], { M: 0 }),
    // Central differences are 0 too where rows coincide: the distance grows to both sides. In float32 two numbers a
    // thousand times as large as the gradient cancel there.
    opCase(
      "rows that coincide",
      [
        float([2, 3], given(0.3, -0.7, 1.1, 0.5, 0.2, -0.9)),
        float([2, 3], given(0.3, -0.7, 1.1, 1.5, -0.4, 0.8)),
      ],
      { tolerance: 1e-5 },
    ),
    opCase("rows of zeros", [float([2, 2], given(0, 0, 1, 2)), float([2, 2], given(0, 0, 0.5, -1))]),
  ],
  rejected: [
    reject("rows of different length", [float([3, 4]), float([3, 5])]),
    reject("more than two axes", [float([2, 3, 4]), float([3, 4])]),
  ],
  realistic: rows("[1536, 4] and [576, 4]", [1536, 4], [576, 4]),
};

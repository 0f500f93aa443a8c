/** @file Reference and cases of pairwiseDistance. */
import { type Array64, build, map } from "./array64.ts";
import { type OpCase, type OpSuite, type Draw, float, given, normal, opCase, reject } from "./op-suite.ts";

type Size = readonly [number, number];

const rows = (name: string, u: Size, v: Size, draw: Draw = normal()): OpCase =>
  opCase(name, [float(u, draw), float(v, draw)], { tolerance: 5e-7 });

export const pairwiseDistanceSuite: OpSuite = {
  op: "pairwiseDistance",
  reference: (inputs) => {
    const [u, v] = inputs as [Array64, Array64];
    const width = u.shape[1]!;
    const size = [u.shape[0]!, v.shape[0]!];
    const square = ([i, j]: readonly number[]): number => {
      let squares = 0;
      for (let q = 0; q < width; q++) {
        squares += (u.data[i! * width + q]! - v.data[j! * width + q]!) ** 2;
      }
      return squares;
    };
    const squared = build(size, square);
    return [map(squared, Math.sqrt), squared];
  },
  differentiable: () => true,
  cases: [
    rows("few rows", [3, 4], [5, 4]),
    rows("small values", [3, 4], [5, 4], normal(0.01)),
    rows("large values", [3, 4], [5, 4], normal(100)),
    rows("one row each", [1, 4], [1, 4]),
    rows("many columns", [3, 40], [5, 40]),
    rows("one column", [4, 1], [3, 1]),
    // Central differences are 0 too where rows coincide: the distance grows to both sides.
    opCase("rows that coincide", [
      float([2, 3], given(0.3, -0.7, 1.1, 0.5, 0.2, -0.9)),
      float([2, 3], given(0.3, -0.7, 1.1, 1.5, -0.4, 0.8)),
    ]),
    opCase("rows a hundredth apart", [
      float([2, 3], given(0.3, -0.7, 1.1, 0.5, 0.2, -0.9)),
      float([2, 3], given(0.3, -0.71, 1.1, 1.5, -0.4, 0.8)),
    ]),
    opCase("rows of zeros", [float([2, 2], given(0, 0, 1, 2)), float([2, 2], given(0, 0, 0.5, -1))]),
  ],
  rejected: [
    reject("rows of different length", [float([3, 4]), float([3, 5])]),
    reject("numbers of rows that are not known", [float(["M", 4]), float([3, 4])]),
    reject("more than two axes", [float([2, 3, 4]), float([3, 4])]),
  ],
  realistic: rows("[1536, 4] and [576, 4]", [1536, 4], [576, 4]),
};

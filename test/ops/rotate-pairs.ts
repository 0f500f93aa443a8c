/** @file Reference and cases of rotatePairs. */
import { type Array64, at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

type Shape = readonly (number | string)[];

const rotated = (
  name: string,
  h: Shape,
  coefficients: Shape,
  groupSize: number,
  bindings: Record<string, number> = {},
): OpCase =>
  opCase(name, [float(h), float(coefficients), float(coefficients)], {
    attributes: { groupSize },
    bindings,
    tolerance: 5e-6,
  });

export const rotatePairsSuite: OpSuite = {
  op: "rotatePairs",
  reference: ([h, c, s], attributes) => {
    const [input, cosines, sines] = [h, c, s] as [Array64, Array64, Array64];
    const groupSize = attributes["groupSize"] as number;
    const half = groupSize / 2;
    const width = input.shape.at(-1)!;
    const perPair = cosines.shape.length === 1 && cosines.shape[0] === width / 2;
    return [
      build(input.shape, (index) => {
        const lead = index.slice(0, -1);
        const k = index.at(-1)!;
        const [group, place] = [Math.floor(k / groupSize), k % groupSize];
        const first = place < half;
        const partner = at(input, [...lead, first ? k + half : k - half]);
        const own = perPair ? [group * half + (place % half)] : index;
        return at(cosines, own) * at(input, index) + at(sines, own) * (first ? -partner : partner);
      }),
    ];
  },
  differentiable: () => true,
  cases: [
    rotated("one coefficient a pair", [3, 8], [4], 4),
    rotated("one coefficient an element", [3, 8], [8], 4),
    rotated("neighbours, a pair", [3, 6], [3], 2),
    rotated("neighbours, an element", [3, 6], [6], 2),
    rotated("one group", [2, 8], [4], 8),
    rotated("a vector", [8], [4], 4),
    rotated("a vector, an element", [8], [8], 8),
    rotated("groups of an odd half", [2, 3, 12], [6], 6),
    rotated("symbolic sizes", ["B", "T", 8], [4], 4, { B: 2, T: 3 }),
    rotated("symbolic sizes, an element", ["B", "T", 8], [8], 4, { B: 2, T: 3 }),
    rotated("each row its own", ["B", "T", 8], ["B", 1, 8], 4, { B: 3, T: 2 }),
    rotated("each row its own, neighbours", ["B", "T", 6], ["B", 1, 6], 2, { B: 3, T: 2 }),
    rotated("wide groups", [2, 128], [64], 64),
    rotated("no tokens", ["B", "T", 8], [4], 4, { B: 2, T: 0 }),
  ],
  rejected: [
    reject("groups that do not divide", [float([2, 6]), float([3]), float([3])], { groupSize: 4 }),
    reject("odd groups", [float([2, 6]), float([3]), float([3])], { groupSize: 3 }),
    reject("an unknown width", [float([2, "D"]), float([3]), float([3])], { groupSize: 2 }),
    reject("coefficients of another width", [float([2, 8]), float([2]), float([2])], { groupSize: 4 }),
    reject("coefficients of unlike widths", [float([2, 8]), float([4]), float([8])], { groupSize: 4 }),
    reject("coefficients of other rows", [float([2, 5, 8]), float([3, 1, 8]), float([3, 1, 8])], {
      groupSize: 4,
    }),
  ],
  realistic: rotated("[4, 256, 1536], groups of 64", [4, 256, 1536], [768], 64),
};

/** @file Reference and cases of matmulParts. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

type Shape = readonly (number | string)[];

function products(
  name: string,
  matrix: Shape,
  parts: readonly Shape[],
  transB: boolean,
  bindings: Record<string, number> = {},
): OpCase {
  return opCase(name, [float(matrix), ...parts.map((shape) => float(shape))], {
    attributes: { transB },
    bindings,
    tolerance: 1e-5,
    seeded: [...parts.keys()],
  });
}

export const matmulPartsSuite: OpSuite = {
  op: "matmulParts",
  reference: ([b, ...parts], { transB }) => {
    const matrix = b!;
    const [inner, outer] = (transB ? matrix.shape.toReversed() : matrix.shape) as [number, number];
    return parts.map((part) =>
      build([...part.shape.slice(0, -1), outer], (place) => {
        const [rows, column] = [place.slice(0, -1), place.at(-1)!];
        let sum = 0;
        for (let k = 0; k < inner; k++)
          sum += at(part, [...rows, k]) * at(matrix, transB ? [column, k] : [k, column]);
        return sum;
      }),
    );
  },
  differentiable: () => true,
  cases: [
    products(
      "two parts",
      [4, 3],
      [
        ["B", "T", 4],
        ["B1", 1, 4],
      ],
      false,
      { B: 2, T: 3, B1: 2 },
    ),
    products(
      "three parts, the matrix as stored",
      [3, 4],
      [
        [2, 3, 4],
        ["N", 4],
        [1, 2, 2, 4],
      ],
      true,
      { N: 5 },
    ),
    products("one part", [3, 4], [["B", 4]], true, { B: 2 }),
    products(
      "a part without rows",
      [4, 3],
      [
        [2, 4],
        ["B", 4],
      ],
      false,
      { B: 0 },
    ),
    {
      ...products(
        "a gradient for one of two",
        [3, 4],
        [
          [2, 4],
          [3, 4],
        ],
        true,
      ),
      seeded: [1],
    },
  ],
  rejected: [
    reject("rows of another width", [float([4, 3]), float([2, 4]), float([2, 5])], { transB: false }),
    reject("a matrix of unknown sizes", [float(["N", 3]), float([2, 3])], { transB: true }),
  ],
  realistic: products(
    "1024 and 16 rows by [576, 1536]",
    [576, 1536],
    [
      [1024, 576],
      [16, 576],
    ],
    false,
  ),
};

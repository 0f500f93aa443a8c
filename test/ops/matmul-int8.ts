/** @file Reference and cases of matmulInt8. */
import { build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject, uniform } from "./op-suite.ts";

const ROWS = { attributes: { rows: "numbers" }, tolerance: 0.05 };
const SHARES = { attributes: { rows: "shares" }, tolerance: 0.05 };

/** A code that depends on its place in the matrix, so that both layouts can be drawn. */
const codeAt = (k: number, n: number): number => ((k * 7919 + n * 104_729) % 255) - 127;

/** The codes of one matrix as [in, out] and as [out, in], with scales of its outputs between. */
export const codedMatrix = (
  inFeatures: number,
  outFeatures: number,
  scales = uniform(0.0005, 0.002),
): OpCase["inputs"] => [
  {
    dtype: "int8",
    shape: [inFeatures, outFeatures],
    draw: (_, place) => codeAt(Math.floor(place / outFeatures), place % outFeatures),
  },
  float([outFeatures], scales),
  {
    dtype: "int8",
    shape: [outFeatures, inFeatures],
    draw: (_, place) => codeAt(place % inFeatures, Math.floor(place / inFeatures)),
  },
];

const inputs = (
  rows: number | string | readonly (number | string)[],
  inFeatures: number,
  outFeatures: number,
): OpCase["inputs"] => [float([...[rows].flat(), inFeatures]), ...codedMatrix(inFeatures, outFeatures)];

export const matmulInt8Suite: OpSuite = {
  op: "matmulInt8",
  reference: ([x, codes, scales]) => {
    const [rows, matrix, factors] = [x!, codes!, scales!];
    const inFeatures = rows.shape.at(-1)!;
    const outFeatures = factors.shape[0]!;
    return [
      build([...rows.shape.slice(0, -1), outFeatures], (index) => {
        const n = index.at(-1)!;
        const m = index.slice(0, -1).reduce((flat, i, axis) => flat * rows.shape[axis]! + i, 0);
        let sum = 0;
        for (let k = 0; k < inFeatures; k++) {
          sum += rows.data[m * inFeatures + k]! * matrix.data[k * outFeatures + n]!;
        }
        return sum * factors.data[n]!;
      }),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("one row", inputs(1, 64, 5), ROWS),
    opCase("rows", inputs(7, 96, 12), ROWS),
    opCase("without codes the other way round", inputs(3, 64, 8).slice(0, 3), ROWS),
    opCase("rows of a batch", inputs(["B", "T"], 32, 8), { ...ROWS, bindings: { B: 2, T: 3 } }),
    opCase("symbolic rows", inputs("N", 32, 8), { ...ROWS, bindings: { N: 6 } }),
    opCase("shares", [float([4, 96], uniform(0, 1)), ...inputs(4, 96, 12).slice(1)], SHARES),
    opCase("no rows of shares", [float(["N", 96], uniform(0, 1)), ...inputs(4, 96, 12).slice(1)], {
      ...SHARES,
      bindings: { N: 0 },
    }),
    opCase(
      "small shares beside a large one",
      [
        float([3, 4096], (_, place) => (place % 4096 === 0 ? 1 : 0.0005)),
        { dtype: "int8", shape: [4096, 1], draw: () => 127 },
        float([1], () => 1 / 127),
      ],
      { ...SHARES, tolerance: 0.01, smooth: false },
    ),
    opCase(
      "sums of codes beyond 32 bits",
      [
        float([1, 70_000], () => 1),
        { dtype: "int8", shape: [70_000, 1], draw: () => 127 },
        float([1], () => 1e-5),
      ],
      { ...SHARES, smooth: false },
    ),
  ],
  realistic: opCase("a wide projection", inputs(1024, 576, 1536), ROWS),
  rejected: [
    reject("codes of another width", [float([2, 40]), ...inputs(2, 64, 5).slice(1)]),
    reject("codes the other way round of another shape", [
      ...inputs(2, 64, 5).slice(0, 3),
      inputs(2, 64, 6)[3]!,
    ]),
    reject("no rows", [float([64]), ...inputs(2, 64, 5).slice(1)]),
  ],
};

/** @file Reference and cases of matmulInt8. */
import { type Array64, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject, uniform } from "./op-suite.ts";

/** A code that depends on its place in the matrix, so that both layouts can be drawn. */
const codeAt = (k: number, n: number): number => ((k * 7919 + n * 104_729) % 255) - 127;

const inputs = (
  rows: number | string | readonly (number | string)[],
  inFeatures: number,
  outFeatures: number,
): OpCase["inputs"] => [
  float([...[rows].flat(), inFeatures]),
  {
    dtype: "int8",
    shape: [inFeatures, outFeatures],
    draw: (_, place) => codeAt(Math.floor(place / outFeatures), place % outFeatures),
  },
  { dtype: "float32", shape: [outFeatures], draw: uniform(0.0005, 0.002) },
  {
    dtype: "int8",
    shape: [outFeatures, inFeatures],
    draw: (_, place) => codeAt(place % inFeatures, Math.floor(place / inFeatures)),
  },
];

export const matmulInt8Suite: OpSuite = {
  op: "matmulInt8",
  reference: ([x, codes, scales]) => {
    const [rows, matrix, factors] = [x as Array64, codes as Array64, scales as Array64];
    const inFeatures = rows.shape.at(-1) as number;
    const outFeatures = factors.shape[0] as number;
    return [
      build([...rows.shape.slice(0, -1), outFeatures], (index) => {
        const n = index.at(-1) as number;
        const m = index.slice(0, -1).reduce((flat, i, axis) => flat * (rows.shape[axis] as number) + i, 0);
        let sum = 0;
        for (let k = 0; k < inFeatures; k++) {
          sum += (rows.data[m * inFeatures + k] as number) * (matrix.data[k * outFeatures + n] as number);
        }
        return sum * (factors.data[n] as number);
      }),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("one row", inputs(1, 64, 5), { tolerance: 0.05 }),
    opCase("rows", inputs(7, 96, 12), { tolerance: 0.05 }),
    opCase("without codes the other way round", inputs(3, 64, 8).slice(0, 3), { tolerance: 0.05 }),
    opCase("rows of a batch", inputs(["B", "T"], 32, 8), { bindings: { B: 2, T: 3 }, tolerance: 0.05 }),
    opCase("symbolic rows", inputs("N", 32, 8), { bindings: { N: 6 }, tolerance: 0.05 }),
  ],
  realistic: opCase("a wide projection", inputs(1024, 576, 1536), { tolerance: 0.05 }),
  rejected: [
    reject("codes of another width", [float([2, 40]), ...inputs(2, 64, 5).slice(1)]),
    reject("codes the other way round of another shape", [
      ...inputs(2, 64, 5).slice(0, 3),
      inputs(2, 64, 6)[3]!,
    ]),
    reject("no rows", [float([64]), ...inputs(2, 64, 5).slice(1)]),
  ],
};

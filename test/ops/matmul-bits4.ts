/** @file Reference and cases of matmulBits4. */
import { type Array64, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, integers, opCase, reject } from "./op-suite.ts";

const BLOCK = 32;
type Shape = readonly (number | string)[];

const inputs = (x: Shape, numRows: number, numBlocks: number): OpCase["inputs"] => [
  float(x),
  { dtype: "uint8", shape: [numRows, numBlocks, BLOCK / 2], draw: integers(256) },
  float([numRows, numBlocks]),
];

function product(
  name: string,
  x: Shape,
  numRows: number,
  numBlocks: number,
  more: { bindings?: Record<string, number>; activations?: "float32" | "int8" } = {},
): OpCase {
  const { bindings = {}, activations = "float32" } = more;
  const tolerance = activations === "int8" ? 0.05 : 2e-4;
  return opCase(name, inputs(x, numRows, numBlocks), { attributes: { activations }, bindings, tolerance });
}

export const matmulBits4Suite: OpSuite = {
  op: "matmulBits4",
  reference: ([x, codes, scales]) => {
    const [rows, packed, factors] = [x as Array64, codes as Array64, scales as Array64];
    const [numRows, numBlocks] = factors.shape as [number, number];
    const columns = numBlocks * BLOCK;
    return [
      build([...rows.shape.slice(0, -1), numRows], (index) => {
        const n = index.at(-1) as number;
        const row = index.slice(0, -1).reduce((flat, i, axis) => flat * (rows.shape[axis] as number) + i, 0);
        let sum = 0;
        for (let k = 0; k < columns; k++) {
          const byte = packed.data[Math.floor((n * columns + k) / 2)] as number;
          const code = k % 2 === 0 ? byte % 16 : Math.floor(byte / 16);
          const scale = factors.data[n * numBlocks + Math.floor(k / BLOCK)] as number;
          sum += (rows.data[row * columns + k] as number) * scale * (code - 8);
        }
        return sum;
      }),
    ];
  },
  differentiable: (input) => input !== 1,
  cases: [
    product("one row", [1, 64], 5, 2),
    product("rows of a batch", [2, 3, 64], 5, 2),
    product("symbolic rows", ["B", "T", 32], 8, 1, { bindings: { B: 2, T: 3 } }),
    product("one output", [3, 96], 1, 3),
    product("activations in 8 bits", [2, 64], 16, 2, { activations: "int8" }),
  ],
  rejected: [
    reject("columns that do not fill blocks", [float([2, 40]), ...inputs([2, 64], 5, 2).slice(1)], {
      activations: "float32",
    }),
    reject("scales of another shape", [...inputs([2, 64], 5, 2).slice(0, 2), float([5, 3])], {
      activations: "float32",
    }),
    reject(
      "codes of another type",
      [float([2, 64]), { dtype: "int8", shape: [5, 2, 16], draw: integers(8) }, float([5, 2])],
      { activations: "float32" },
    ),
  ],
  realistic: product("[1, 576] by [1536, 576]", [1, 576], 1536, 18, { activations: "int8" }),
};

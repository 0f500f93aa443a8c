/** @file Reference and cases of matmulBits. */
import { build } from "./array64.ts";
import { type OpCase, type OpSuite, float, integers, opCase, reject } from "./op-suite.ts";

const BLOCK = 32;
type Shape = readonly (number | string)[];

const inputs = (x: Shape, numRows: number, numBlocks: number, numBytes = BLOCK / 2): OpCase["inputs"] => [
  float(x),
  { dtype: "uint8", shape: [numRows, numBlocks, numBytes], draw: integers(256) },
  float([numRows, numBlocks]),
];

function product(
  name: string,
  x: Shape,
  numRows: number,
  numBlocks: number,
  more: {
    bindings?: Record<string, number>;
    activations?: "float32" | "int8";
    bits?: 4 | 8;
    block?: number;
    offsets?: boolean;
  } = {},
): OpCase {
  const { bindings = {}, activations = "float32", bits = 4, block = BLOCK, offsets } = more;
  // Of 8 bits the steps are sixteen times as large.
  const tolerance = (activations === "int8" ? 0.05 : 2e-4) * (bits === 8 ? 16 : 1);
  const drawn = [
    ...inputs(x, numRows, numBlocks, (block * bits) / 8),
    ...(offsets ? [float([numRows, numBlocks])] : []),
  ];
  return opCase(name, drawn, { attributes: { activations, bits }, bindings, tolerance });
}

export const matmulBitsSuite: OpSuite = {
  op: "matmulBits",
  reference: ([x, codes, scales, offsets], { bits }) => {
    const [rows, packed, factors] = [x!, codes!, scales!];
    const [numRows, numBlocks] = factors.shape as [number, number];
    const size = (packed.shape[2]! * 8) / (bits as number);
    const columns = numBlocks * size;
    const codeAt = (at: number): number => {
      if (bits === 8) return packed.data[at]! - 128;
      const byte = packed.data[Math.floor(at / 2)]!;
      return (at % 2 === 0 ? byte % 16 : Math.floor(byte / 16)) - 8;
    };
    return [
      build([...rows.shape.slice(0, -1), numRows], (index) => {
        const n = index.at(-1)!;
        const row = index.slice(0, -1).reduce((flat, i, axis) => flat * rows.shape[axis]! + i, 0);
        let sum = 0;
        for (let k = 0; k < columns; k++) {
          const block = n * numBlocks + Math.floor(k / size);
          const steps = factors.data[block]! * codeAt(n * columns + k);
          sum += rows.data[row * columns + k]! * (steps + (offsets?.data[block] ?? 0));
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
    product("offsets", [3, 64], 5, 2, { offsets: true }),
    product("offsets, rows of a batch", ["B", "T", 64], 5, 2, { offsets: true, bindings: { B: 2, T: 3 } }),
    product("codes of 8 bits", [2, 64], 16, 2, { bits: 8 }),
    product("codes and activations of 8 bits", [2, 64], 16, 2, { bits: 8, activations: "int8" }),
    product("codes of 8 bits in blocks of 16", [3, 64], 16, 4, { bits: 8, block: 16, activations: "int8" }),
  ],
  rejected: [
    reject("columns that do not fill blocks", [float([2, 40]), ...inputs([2, 64], 5, 2).slice(1)], {
      activations: "float32",
      bits: 4,
    }),
    reject("scales of another shape", [...inputs([2, 64], 5, 2).slice(0, 2), float([5, 3])], {
      activations: "float32",
      bits: 4,
    }),
    reject(
      "codes of another type",
      [float([2, 64]), { dtype: "int8", shape: [5, 2, 16], draw: integers(8) }, float([5, 2])],
      { activations: "float32", bits: 4 },
    ),
  ],
  realistic: product("[1, 576] by [1536, 576]", [1, 576], 1536, 18, { activations: "int8" }),
};

/** @file Reference and cases of unpackCodes: bits of a little-endian stream, one after another. */
import type { DType } from "../../src/graph/dtype.ts";
import { build } from "./array64.ts";
import { type InputSpec, type OpCase, type OpSuite, given, integers, opCase, reject } from "./op-suite.ts";

const bytes = (shape: readonly (number | string)[], dtype: DType = "uint8"): InputSpec => ({
  dtype,
  shape,
  draw: integers(dtype === "int8" ? 128 : 256),
});

const unpacked = (name: string, rows: number | string, bits: number, columns: number): OpCase =>
  opCase(name, [bytes([rows, Math.ceil((bits * columns) / 8)])], {
    attributes: { bits, columns },
    bindings: typeof rows === "string" ? { [rows]: 3 } : {},
    tolerance: 0,
  });

export const unpackCodesSuite: OpSuite = {
  op: "unpackCodes",
  reference: ([packed], attributes) => {
    const { bits, columns } = attributes as { bits: number; columns: number };
    const { shape, data } = packed!;
    const [numRows, rowBytes] = shape as [number, number];
    if (bits === 8) return [packed!];
    return [
      build([numRows, columns], (index) => {
        const [row, column] = index as [number, number];
        let code = 0;
        for (let bit = 0; bit < bits; bit++) {
          const place = column * bits + bit;
          const byte = data[row * rowBytes + Math.floor(place / 8)]!;
          code += (Math.floor(byte / 2 ** (place % 8)) % 2) * 2 ** bit;
        }
        return code;
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    unpacked("4 bits", 5, 4, 32),
    unpacked("3 bits", 5, 3, 32),
    unpacked("2 bits", 5, 2, 32),
    unpacked("8 bits", 5, 8, 32),
    opCase("8 signed bits", [{ dtype: "int8", shape: [1, 4], draw: given(-128, -1, 0, 127) }], {
      attributes: { bits: 8, columns: 4 },
      tolerance: 0,
    }),
    unpacked("one unit", 1, 3, 8),
    unpacked("4 bits, rows that do not fill units", 4, 4, 13),
    unpacked("3 bits, rows that do not fill units", 4, 3, 13),
    unpacked("2 bits, rows that do not fill units", 4, 2, 13),
    unpacked("rows that miss codes but no byte", 4, 3, 15),
    unpacked("one code", 2, 3, 1),
    unpacked("symbolic rows", "N", 3, 24),
    opCase("every byte", [{ dtype: "uint8", shape: [1, 256], draw: (_random, place) => place }], {
      attributes: { bits: 4, columns: 512 },
      tolerance: 0,
    }),
    opCase("every pair of bits", [{ dtype: "uint8", shape: [1, 256], draw: (_random, place) => place }], {
      attributes: { bits: 2, columns: 1024 },
      tolerance: 0,
    }),
    opCase("every byte at each place of three", [{ dtype: "uint8", shape: [256, 3], draw: threeBytes }], {
      attributes: { bits: 3, columns: 8 },
      tolerance: 0,
    }),
  ],
  rejected: [
    reject("other numbers of bits", [bytes([2, 5])], { bits: 5, columns: 8 }),
    reject("rows of other length", [bytes([2, 5])], { bits: 4, columns: 8 }),
    reject("signed codes of fewer bits", [bytes([2, 4], "int8")], { bits: 4, columns: 8 }),
    reject("other element types", [bytes([2, 4], "float32")], { bits: 4, columns: 8 }),
    reject("three axes", [bytes([2, 2, 4])], { bits: 4, columns: 8 }),
  ],
  realistic: unpacked("[1536, 576] codes of 4 bits", 1536, 4, 576),
};

/** Byte i of row r: three walks through all bytes. */
function threeBytes(_random: unknown, place: number): number {
  const row = Math.floor(place / 3);
  return [row, (row * 7 + 1) % 256, 255 - row][place % 3]!;
}

/**
 * @file Stores any codes of up to 4 bits as q4_1, unchanged: d = scale and m = −scale · zero in float16. A value changes by at
 * most 2^-11 scale (code + zero) unless one of them is subnormal.
 */
import { dimsOf } from "../../graph/shape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { type AffineFormat, type AffineWeight, fitFloat16, type HoldCodes } from "./affine.ts";
import { BLOCK } from "../block.ts";
import { packRow, unpackRow } from "../codes/pack-codes.ts";

const BITS = 4;

/** Returns the zero of a group. */
function zeroAt({ zero: common }: AffineFormat, { zero }: AffineWeight, at: number): number {
  return typeof common === "number" ? common : zero!.data[at]!;
}

export const holdInQ4_1: HoldCodes = {
  fits: ({ bits, codes, groupSize, factor }) =>
    bits <= BITS && codes === "uint8" && factor === null && groupSize % BLOCK === 0,

  pack(format, weight, columns, name) {
    const [numRows] = dimsOf(weight.scale.shape, 2);
    const rowBlocks = columns / BLOCK;
    const scales = new Float32Array(numRows * rowBlocks);
    const minima = new Float32Array(numRows * rowBlocks);
    const blocksPerGroup = format.groupSize / BLOCK;
    for (let block = 0; block < scales.length; block++) {
      const group = Math.floor(block / blocksPerGroup);
      scales[block] = weight.scale.data[group]!;
      minima[block] = -weight.scale.data[group]! * zeroAt(format, weight, group);
    }
    const shape = [numRows, rowBlocks];
    const blocks = { name, numGroups: rowBlocks };
    const scaleBits = fitFloat16(scales, { ...blocks, what: "scale" });
    const minBits = fitFloat16(minima, { ...blocks, what: "minimum" });
    return {
      scale: hostTensor("float16", shape, scaleBits),
      min: hostTensor("float16", shape, minBits),
      codes: hostTensor("uint8", [numRows, columns / 2], widenCodes(format, weight, columns)),
    };
  },
};

/** Repacks the codes to 4 bits each. */
function widenCodes(
  { bits }: AffineFormat,
  { codes }: AffineWeight,
  columns: number,
): Uint8Array<ArrayBuffer> {
  const packed = codes.data as Uint8Array<ArrayBuffer>;
  if (bits === BITS) return packed;
  const [numRows, rowBytes] = dimsOf(codes.shape, 2);
  const widened = new Uint8Array((numRows * columns) / 2);
  const row = new Uint8Array(columns);
  for (let i = 0; i < numRows; i++) {
    unpackRow(packed, i * rowBytes, bits, row);
    packRow(row, BITS, widened, (i * columns) / 2);
  }
  return widened;
}

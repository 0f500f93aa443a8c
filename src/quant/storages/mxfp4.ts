/**
 * @file Storage mxfp4: blocks of 32 floats of 4 bits (e2m1) under one power of two (e8m0); value = e2m1 · 2^(scale - 127).
 *
 * From the OCP Microscaling Formats specification; gpt-oss stores its experts this way (arXiv:2508.10925, section 2.1). Planes:
 * codes uint8 [rows, columns / 2], two to a byte; scale uint8 [rows, columns / 32].
 */
import { BLOCK, bytes, defineBlocks, nibbles } from "../block.ts";
import { E2M1_DOUBLES, E8M0_HALVES, E8M0_NAN } from "../codes/e2m1-values.ts";
import { pairCodes } from "../codes/nibbles.ts";
import { plane } from "../planes.ts";

/** The largest code without a sign. */
const LARGEST = 7;
/**
 * The scale is 2^HEADROOM below the power of two of a block's largest magnitude, which is then 4 to 8 times the scale; above 6 it
 * is rounded to 6.
 */
const HEADROOM = 2;
const BIAS = 127;

export const mxfp4 = defineBlocks({
  name: "mxfp4",
  ggmlType: 39,
  ggufFileType: 38,
  summary: "4-bit floats in blocks of 32, one power of two per block: also in model folders (MXFP4).",
  blockSize: BLOCK,
  fields: [bytes("scale", 1), nibbles("codes", BLOCK, BLOCK / 2)],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 16, end * 16);
    const scale = plane(planes, "scale", "uint8").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = E8M0_HALVES[scale[block]!]!;
      for (const stop = i + 16; i < stop; i++) {
        const pair = codes[i]!;
        into[2 * i] = E2M1_DOUBLES[pair & 0x0f]! * d;
        into[2 * i + 1] = E2M1_DOUBLES[pair >> 4]! * d;
      }
    }
  },

  quantize(values) {
    const codes = new Uint8Array(values.length);
    const scale = new Uint8Array(values.length / BLOCK);
    for (let block = 0, at = 0; block < scale.length; block++) {
      const end = at + BLOCK;
      let largest = 0;
      for (let i = at; i < end; i++) largest = Math.max(largest, Math.abs(values[i]!));
      const power = Math.floor(Math.fround(Math.log2(largest))) - HEADROOM + BIAS;
      scale[block] = largest === 0 ? 0 : Math.min(Math.max(power, 0), E8M0_NAN - 1);
      const d = E8M0_HALVES[scale[block]!]!;
      for (; at < end; at++) codes[at] = nearestCode(values[at]!, d);
    }
    return { codes: pairCodes(codes), scale };
  },

  areScalesNumbers: (planes) => !plane(planes, "scale", "uint8").data.includes(E8M0_NAN),
  affine: "not-affine",
});

/** Finds the code whose value is nearest; of two equally near, the one of smaller magnitude. */
function nearestCode(value: number, d: number): number {
  const size = Math.abs(value);
  const distance = (code: number): number => Math.abs(Math.fround(E2M1_DOUBLES[code]! * d - size));
  let code = 0;
  while (code < LARGEST && distance(code + 1) < distance(code)) code++;
  return code === 0 || value > 0 ? code : code + LARGEST + 1;
}

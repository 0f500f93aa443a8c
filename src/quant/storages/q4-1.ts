/** @file Storage q4_1: blocks of 32 4-bit codes with a float16 scale and minimum; value = code * scale + min. */
import { blocksWithMinimum } from "../affine/affine-blocks.ts";
import { BLOCK, defineBlocks, half, nibbles } from "../block.ts";
import { roundAboveMinimum } from "../codes/block-rounding.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { holdInQ4_1 } from "../affine/hold-q4-1.ts";
import { pairCodes } from "../codes/nibbles.ts";
import { plane } from "../planes.ts";

export const q4_1 = defineBlocks({
  name: "q4_1",
  ggmlType: 3,
  ggufFileType: 3,
  summary: "4-bit codes in blocks of 32, a 16-bit scale and a 16-bit minimum per block.",
  blockSize: BLOCK,
  fields: [half("scale"), half("min"), nibbles("codes", BLOCK, 16)],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 16, end * 16);
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      const m = FLOAT16_VALUES[min[block]!]!;
      // Product and sum are exact in float64 here, so the store rounds once, as float32 arithmetic would.
      for (const stop = i + 16; i < stop; i++) {
        const pair = codes[i]!;
        into[2 * i] = (pair & 0x0f) * d + m;
        into[2 * i + 1] = (pair >> 4) * d + m;
      }
    }
  },

  dequantizeRaw(bytes, into) {
    for (let at = 0, i = 0; at < bytes.length; i += 16) {
      const d = FLOAT16_VALUES[bytes[at]! | (bytes[at + 1]! << 8)]!;
      const m = FLOAT16_VALUES[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
      at += 4;
      for (const stop = i + 16; i < stop; i++) {
        const pair = bytes[at++]!;
        into[i] = (pair & 0x0f) * d + m;
        into[i + 16] = (pair >> 4) * d + m;
      }
    }
  },

  quantize(values) {
    const { codes, scale, min } = roundAboveMinimum(values, 15);
    return { codes: pairCodes(codes), scale, min };
  },

  affine: blocksWithMinimum(4, undefined, holdInQ4_1),
});

/** @file Storage q5_1: blocks of 32 5-bit codes with a float16 scale and minimum; value = code * scale + min. */
import { blocksWithMinimum } from "../affine/affine-blocks.ts";
import { BLOCK, defineBlocks, half } from "../block.ts";
import { roundAboveMinimum } from "../codes/block-rounding.ts";
import { FIVE_BIT_FIELDS, highWord, joinFiveBits, splitFiveBits } from "../codes/five-bits.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

export const q5_1 = defineBlocks({
  name: "q5_1",
  ggmlType: 7,
  ggufFileType: 9,
  summary: "5-bit codes in blocks of 32, a 16-bit scale and a 16-bit minimum per block.",
  blockSize: BLOCK,
  fields: [half("scale"), half("min"), ...FIVE_BIT_FIELDS],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 16, end * 16);
    const highBits = plane(planes, "highBits", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      const m = FLOAT16_VALUES[min[block]!]!;
      let high = highWord(highBits, block);
      for (const stop = i + 16; i < stop; i++, high >>>= 2) {
        const pair = codes[i]!;
        into[2 * i] = ((pair & 0x0f) | ((high & 1) << 4)) * d + m;
        into[2 * i + 1] = ((pair >> 4) | ((high & 2) << 3)) * d + m;
      }
    }
  },

  quantize(values) {
    const { codes, scale, min } = roundAboveMinimum(values, 31);
    return { ...splitFiveBits(codes), scale, min };
  },

  affine: blocksWithMinimum(8, joinFiveBits),
});

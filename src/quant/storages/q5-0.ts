/** @file Storage q5_0: blocks of 32 5-bit codes with one float16 scale; value = (code - 16) * scale. */
import { symmetricBlocks } from "../affine/affine-blocks.ts";
import { BLOCK, defineBlocks, half } from "../block.ts";
import { roundAroundMiddle } from "../codes/block-rounding.ts";
import { FIVE_BIT_FIELDS, highWord, joinFiveBits, splitFiveBits } from "../codes/five-bits.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

export const q5_0 = defineBlocks({
  name: "q5_0",
  ggmlType: 6,
  ggufFileType: 8,
  summary: "5-bit codes in blocks of 32, one 16-bit scale per block.",
  blockSize: BLOCK,
  fields: [half("scale"), ...FIVE_BIT_FIELDS],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 16, end * 16);
    const highBits = plane(planes, "highBits", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      let high = highWord(highBits, block);
      for (const stop = i + 16; i < stop; i++, high >>>= 2) {
        const pair = codes[i]!;
        into[2 * i] = (((pair & 0x0f) | ((high & 1) << 4)) - 16) * d;
        into[2 * i + 1] = (((pair >> 4) | ((high & 2) << 3)) - 16) * d;
      }
    }
  },

  quantize(values) {
    const { codes, scale } = roundAroundMiddle(values, 16);
    return { ...splitFiveBits(codes), scale };
  },

  affine: symmetricBlocks({ bits: 8, codes: "uint8", zero: 16 }, joinFiveBits),
});

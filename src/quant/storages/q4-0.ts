/** @file Storage q4_0: blocks of 32 4-bit codes with one float16 scale; value = (code - 8) * scale. */
import { symmetricBlocks } from "../affine/affine-blocks.ts";
import { BLOCK, defineBlocks, half, nibbles } from "../block.ts";
import { roundAroundMiddle } from "../codes/block-rounding.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { pairCodes } from "../codes/nibbles.ts";
import { plane } from "../planes.ts";

export const q4_0 = defineBlocks({
  name: "q4_0",
  ggmlType: 2,
  ggufFileType: 2,
  summary: "4-bit codes in blocks of 32, one 16-bit scale per block.",
  blockSize: BLOCK,
  fields: [half("scale"), nibbles("codes", BLOCK, 16)],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 16, end * 16);
    const scale = plane(planes, "scale", "float16").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      for (const stop = i + 16; i < stop; i++) {
        const pair = codes[i]!;
        into[2 * i] = ((pair & 0x0f) - 8) * d;
        into[2 * i + 1] = ((pair >> 4) - 8) * d;
      }
    }
  },

  dequantizeRaw(bytes, into) {
    for (let at = 0, i = 0; at < bytes.length; i += 16) {
      const d = FLOAT16_VALUES[bytes[at]! | (bytes[at + 1]! << 8)]!;
      at += 2;
      for (const stop = i + 16; i < stop; i++) {
        const pair = bytes[at++]!;
        into[i] = ((pair & 0x0f) - 8) * d;
        into[i + 16] = ((pair >> 4) - 8) * d;
      }
    }
  },

  quantize(values) {
    const { codes, scale } = roundAroundMiddle(values, 8);
    return { codes: pairCodes(codes), scale };
  },

  affine: symmetricBlocks({ bits: 4, codes: "uint8", zero: 8 }),
});

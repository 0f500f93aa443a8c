/** @file Storage iq4_nl: blocks of 32 4-bit codes with one float16 scale; value = IQ4_VALUES[code] * scale. */
import { symmetricBlocks } from "../affine/affine-blocks.ts";
import { codesByValue } from "../affine/affine-super-blocks.ts";
import { BLOCK, defineBlocks, half, nibbles } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { IQ4_VALUES } from "../codes/iq4-values.ts";
import { plane } from "../planes.ts";

export const iq4_nl = defineBlocks({
  name: "iq4_nl",
  ggmlType: 20,
  summary: "4-bit codes of unevenly spaced numbers in blocks of 32, one 16-bit scale per block.",
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
        into[2 * i] = IQ4_VALUES[pair & 0x0f]! * d;
        into[2 * i + 1] = IQ4_VALUES[pair >> 4]! * d;
      }
    }
  },

  quantize: "read-only",
  affine: (own) => symmetricBlocks({ bits: 8, codes: "int8", zero: 0 }, codesByValue(own, "int8")),
});

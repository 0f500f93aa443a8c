/**
 * @file Storage q4_k: blocks of 256 4-bit codes in 8 groups; value = code * scale - min of the group, which are 6-bit
 * codes times the float16 scale and the float16 minimum of the block.
 */
import { superBlocks } from "../affine/affine-super-blocks.ts";
import { defineBlocks, bytes, half, nibbles, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";
import { minCode, scaleCode, SIX_BIT_BYTES, SIX_BIT_GROUPS } from "../codes/six-bit-scales.ts";

export const q4_k = defineBlocks({
  name: "q4_k",
  ggmlType: 12,
  summary: "4-bit codes in groups of 32, with 6-bit scales and minima in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [half("scale"), half("min"), bytes("groupCodes", SIX_BIT_BYTES), nibbles("codes", SUPER_BLOCK, 32)],

  dequantize(planes, first, end, into) {
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    const groupCodes = plane(planes, "groupCodes", "uint8").data;
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 128, end * 128);
    for (let block = first, i = 0; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      const blockMin = FLOAT16_VALUES[min[block]!]!;
      for (let group = 0; group < 8; group++) {
        const d = blockScale * scaleCode(groupCodes, block * SIX_BIT_BYTES, group);
        const m = blockMin * minCode(groupCodes, block * SIX_BIT_BYTES, group);
        // Everything is a multiple of 2^-24 below 2^27, exact in float64, so the store rounds once, as float32 arithmetic would.
        for (const stop = i + 16; i < stop; i++) {
          const pair = codes[i]!;
          into[2 * i] = (pair & 0x0f) * d - m;
          into[2 * i + 1] = (pair >> 4) * d - m;
        }
      }
    }
  },

  quantize: "read-only",
  affine: superBlocks({
    bits: 4,
    dtype: "uint8",
    readCodes: (planes) => plane(planes, "codes", "uint8"),
    ...SIX_BIT_GROUPS,
  }),
});

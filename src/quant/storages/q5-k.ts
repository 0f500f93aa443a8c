/**
 * @file Storage q5_k: like q4_k, with codes of 5 bits.
 *
 * 32 bytes of `lowBits` have the lower four bits of two groups, the first's in the low halves; bit g of byte i of `highBits`
 * is the highest bit of code i of group g.
 */
import { codesByValue, superBlocks } from "../affine/affine-super-blocks.ts";
import { bytes, defineBlocks, half, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";
import { minCode, scaleCode, SIX_BIT_BYTES, SIX_BIT_GROUPS, SIX_BIT_ONES } from "../codes/six-bit-scales.ts";

export const q5_k = defineBlocks({
  name: "q5_k",
  ggmlType: 13,
  summary: "5-bit codes in groups of 32, with 6-bit scales and minima in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [
    half("scale"),
    half("min"),
    bytes("groupCodes", SIX_BIT_BYTES),
    bytes("highBits", 32),
    bytes("lowBits", 128),
  ],

  dequantize(planes, first, end, into) {
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    const groupCodes = plane(planes, "groupCodes", "uint8").data;
    const highBits = plane(planes, "highBits", "uint8").data;
    const lowBits = plane(planes, "lowBits", "uint8").data;
    for (let block = first; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      const blockMin = FLOAT16_VALUES[min[block]!]!;
      const offset = block * SIX_BIT_BYTES;
      for (let group = 0; group < 8; group += 2) {
        const d0 = blockScale * scaleCode(groupCodes, offset, group);
        const m0 = blockMin * minCode(groupCodes, offset, group);
        const d1 = blockScale * scaleCode(groupCodes, offset, group + 1);
        const m1 = blockMin * minCode(groupCodes, offset, group + 1);
        let to = (block - first) * SUPER_BLOCK + group * 32;
        let at = block * 128 + group * 16;
        let high = block * 32;
        for (const stop = to + 32; to < stop; to++, at++, high++) {
          const pair = lowBits[at]!;
          const upper = highBits[high]! >> group;
          into[to] = ((pair & 0x0f) | ((upper & 1) << 4)) * d0 - m0;
          into[to + 32] = ((pair >> 4) | ((upper & 2) << 3)) * d1 - m1;
        }
      }
    }
  },

  quantize: "read-only",
  affine: (own) =>
    superBlocks({
      bits: 8,
      dtype: "uint8",
      readCodes: codesByValue(own, "uint8", { groupCodes: SIX_BIT_ONES }),
      ...SIX_BIT_GROUPS,
    }),
});

/**
 * @file Storage q6_k: blocks of 256 6-bit codes in 16 groups; value = (code - 32) * scale of the group, which is a signed
 * byte times the float16 scale of the block.
 *
 * A block has two halves. Byte i of a half's `lowBits` has the lower four bits of its elements i and 64 + i, byte i of its
 * `highBits` the upper two of its elements i, 32 + i, 64 + i and 96 + i, from the lowest bits up.
 */
import { codesByValue, groupBytes, superBlocks } from "../affine/affine-super-blocks.ts";
import { bytes, defineBlocks, half, signedBytes, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

export const q6_k = defineBlocks({
  name: "q6_k",
  ggmlType: 14,
  summary: "6-bit codes in groups of 16, with 8-bit scales in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [bytes("lowBits", 128), bytes("highBits", 64), signedBytes("groupCodes", 16), half("scale")],

  dequantize(planes, first, end, into) {
    const lowBits = plane(planes, "lowBits", "uint8").data;
    const highBits = plane(planes, "highBits", "uint8").data;
    const groupCodes = plane(planes, "groupCodes", "int8").data;
    const scale = plane(planes, "scale", "float16").data;
    for (let block = first; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      // Goes through 16 columns of a half at a time, as a byte of high bits has those of four groups; 1.5 times as fast as in
      // order.
      for (let part = 0; part < 4; part++) {
        const half = part >> 1;
        const column = 16 * (part & 1);
        const group = block * 16 + half * 8 + (part & 1);
        const d0 = blockScale * groupCodes[group]!;
        const d1 = blockScale * groupCodes[group + 2]!;
        const d2 = blockScale * groupCodes[group + 4]!;
        const d3 = blockScale * groupCodes[group + 6]!;
        let to = (block - first) * SUPER_BLOCK + half * 128 + column;
        let at = block * 128 + half * 64 + column;
        let high = block * 64 + half * 32 + column;
        for (const stop = to + 16; to < stop; to++, at++, high++) {
          const near = lowBits[at]!;
          const far = lowBits[at + 32]!;
          const upper = highBits[high]!;
          into[to] = (((near & 0x0f) | ((upper & 0x03) << 4)) - 32) * d0;
          into[to + 32] = (((far & 0x0f) | ((upper & 0x0c) << 2)) - 32) * d1;
          into[to + 64] = (((near >> 4) | (upper & 0x30)) - 32) * d2;
          into[to + 96] = (((far >> 4) | ((upper & 0xc0) >> 2)) - 32) * d3;
        }
      }
    }
  },

  quantize: "read-only",
  affine: (own) =>
    superBlocks({
      bits: 8,
      dtype: "int8",
      readCodes: codesByValue(own, "int8", { groupCodes: [1] }),
      groupSize: 16,
      factorDtype: "int8",
      typicalFactor: 64,
      factors: groupBytes("groupCodes", "int8"),
      minima: "no-minimum",
    }),
});

/**
 * @file Storage q2_k: blocks of 256 2-bit codes in 16 groups; value = code * scale - min of the group, which are 4-bit
 * codes times the float16 scale and the float16 minimum of the block.
 *
 * A byte of `groupCodes` has the scale low and the minimum high. Byte i of each half of `codes` has its elements i,
 * 32 + i, 64 + i and 96 + i, from the lowest bits up.
 */
import { codesByValue, groupBytes, superBlocks } from "../affine/affine-super-blocks.ts";
import { bytes, defineBlocks, half, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

export const q2_k = defineBlocks({
  name: "q2_k",
  ggmlType: 10,
  summary: "2-bit codes in groups of 16, with 4-bit scales and minima in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [bytes("groupCodes", 16), bytes("codes", 64), half("scale"), half("min")],

  dequantize(planes, first, end, into) {
    const groupCodes = plane(planes, "groupCodes", "uint8").data;
    const codes = plane(planes, "codes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    for (let block = first; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      const blockMin = FLOAT16_VALUES[min[block]!]!;
      // Goes through 16 columns of a half at a time, as a byte has codes of four groups.
      for (let part = 0; part < 4; part++) {
        const half = part >> 1;
        const column = 16 * (part & 1);
        const group = block * 16 + half * 8 + (part & 1);
        const c0 = groupCodes[group]!;
        const c1 = groupCodes[group + 2]!;
        const c2 = groupCodes[group + 4]!;
        const c3 = groupCodes[group + 6]!;
        const d0 = blockScale * (c0 & 0x0f);
        const m0 = blockMin * (c0 >> 4);
        const d1 = blockScale * (c1 & 0x0f);
        const m1 = blockMin * (c1 >> 4);
        const d2 = blockScale * (c2 & 0x0f);
        const m2 = blockMin * (c2 >> 4);
        const d3 = blockScale * (c3 & 0x0f);
        const m3 = blockMin * (c3 >> 4);
        let to = (block - first) * SUPER_BLOCK + half * 128 + column;
        let at = block * 64 + half * 32 + column;
        for (const stop = to + 16; to < stop; to++, at++) {
          const four = codes[at]!;
          into[to] = (four & 3) * d0 - m0;
          into[to + 32] = ((four >> 2) & 3) * d1 - m1;
          into[to + 64] = ((four >> 4) & 3) * d2 - m2;
          into[to + 96] = (four >> 6) * d3 - m3;
        }
      }
    }
  },

  quantize: "read-only",
  affine: (own) => {
    const groups = groupBytes("groupCodes", "uint8");
    return superBlocks({
      bits: 8,
      dtype: "uint8",
      readCodes: codesByValue(own, "uint8", { groupCodes: [0x01] }),
      groupSize: 16,
      factorDtype: "uint8",
      typicalFactor: 8,
      factors: (planes) => {
        const codeOf = groups(planes);
        return (group) => codeOf(group) & 0x0f;
      },
      minima: (planes) => {
        const codeOf = groups(planes);
        return (group) => codeOf(group) >> 4;
      },
    });
  },
});

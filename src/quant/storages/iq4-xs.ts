/**
 * @file Storage iq4_xs: blocks of 256 4-bit codes in 8 groups; value = IQ4_VALUES[code] * scale of the group, which is a
 * 6-bit code less 32, times the float16 scale of the block.
 *
 * The lower 4 bits of the group codes are in `groupLow`, two a byte, the upper 2 in `groupHigh`, four a byte.
 */
import { codesByValue, superBlocks } from "../affine/affine-super-blocks.ts";
import { bytes, defineBlocks, half, nibbles, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { IQ4_VALUES } from "../codes/iq4-values.ts";
import { plane } from "../planes.ts";

/** Returns the factor of a group, counted over all blocks: its 6-bit code minus 32. */
function groupFactor(low: Uint8Array, high: Uint8Array, group: number): number {
  const lower = (low[group >> 1]! >> (4 * (group & 1))) & 0x0f;
  const upper = (high[group >> 2]! >> (2 * (group & 3))) & 3;
  return (lower | (upper << 4)) - 32;
}

export const iq4_xs = defineBlocks({
  name: "iq4_xs",
  ggmlType: 23,
  summary: "4-bit codes of unevenly spaced numbers in groups of 32, with 6-bit scales in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [half("scale"), bytes("groupHigh", 2), bytes("groupLow", 4), nibbles("codes", SUPER_BLOCK, 16)],

  dequantize(planes, first, end, into) {
    const scale = plane(planes, "scale", "float16").data;
    const groupHigh = plane(planes, "groupHigh", "uint8").data;
    const groupLow = plane(planes, "groupLow", "uint8").data;
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 128, end * 128);
    for (let block = first, i = 0; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      for (let group = 0; group < 8; group++) {
        const d = blockScale * groupFactor(groupLow, groupHigh, block * 8 + group);
        for (const stop = i + 16; i < stop; i++) {
          const pair = codes[i]!;
          into[2 * i] = IQ4_VALUES[pair & 0x0f]! * d;
          into[2 * i + 1] = IQ4_VALUES[pair >> 4]! * d;
        }
      }
    }
  },

  quantize: "read-only",
  affine: (own) =>
    superBlocks({
      bits: 8,
      dtype: "int8",
      // Group codes of 33, which stand for a factor of 1.
      readCodes: codesByValue(own, "int8", { groupLow: [0x11], groupHigh: [0xaa] }),
      groupSize: 32,
      factorDtype: "int8",
      typicalFactor: 16,
      factors: (planes) => {
        const low = plane(planes, "groupLow", "uint8").data;
        const high = plane(planes, "groupHigh", "uint8").data;
        return (group) => groupFactor(low, high, group);
      },
      minima: "no-minimum",
    }),
});

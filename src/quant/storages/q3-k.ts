/**
 * @file Storage q3_k: blocks of 256 3-bit codes in 16 groups; value = (code - 4) * scale of the group, which is a 6-bit
 * code less 32, times the float16 scale of the block.
 *
 * Byte i of each half of `lowBits` has the lower two bits of its elements i, 32 + i, 64 + i and 96 + i, from the lowest bits
 * up; bit k of byte i of `highBits` is the highest bit of element 32 k + i of the block.
 */
import { codesByValue, superBlocks } from "../affine/affine-super-blocks.ts";
import { bytes, defineBlocks, half, SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

/** Bytes of the group codes of a block. */
const GROUP_BYTES = 12;

/** Reads a group's code: its lower 4 bits are in bytes 0 to 7, its upper 2 in bytes 8 to 11. */
function groupCode(codes: Uint8Array, offset: number, group: number): number {
  const low = (codes[offset + (group & 7)]! >> (4 * (group >> 3))) & 0x0f;
  const high = (codes[offset + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3;
  return low | (high << 4);
}

export const q3_k = defineBlocks({
  name: "q3_k",
  ggmlType: 11,
  summary: "3-bit codes in groups of 16, with 6-bit scales in blocks of 256.",
  blockSize: SUPER_BLOCK,
  fields: [bytes("highBits", 32), bytes("lowBits", 64), bytes("groupCodes", GROUP_BYTES), half("scale")],

  dequantize(planes, first, end, into) {
    const highBits = plane(planes, "highBits", "uint8").data;
    const lowBits = plane(planes, "lowBits", "uint8").data;
    const groupCodes = plane(planes, "groupCodes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    for (let block = first; block < end; block++) {
      const blockScale = FLOAT16_VALUES[scale[block]!]!;
      const offset = block * GROUP_BYTES;
      // Goes through 16 columns of a half at a time, as a byte of low bits has those of four groups.
      for (let part = 0; part < 4; part++) {
        const half = part >> 1;
        const column = 16 * (part & 1);
        const group = half * 8 + (part & 1);
        const d0 = blockScale * (groupCode(groupCodes, offset, group) - 32);
        const d1 = blockScale * (groupCode(groupCodes, offset, group + 2) - 32);
        const d2 = blockScale * (groupCode(groupCodes, offset, group + 4) - 32);
        const d3 = blockScale * (groupCode(groupCodes, offset, group + 6) - 32);
        let to = (block - first) * SUPER_BLOCK + half * 128 + column;
        let at = block * 64 + half * 32 + column;
        let high = block * 32 + column;
        for (const stop = to + 16; to < stop; to++, at++, high++) {
          const lower = lowBits[at]!;
          const upper = (highBits[high]! >> (4 * half)) << 2;
          into[to] = ((lower & 3) + (upper & 4) - 4) * d0;
          into[to + 32] = (((lower >> 2) & 3) + ((upper >> 1) & 4) - 4) * d1;
          into[to + 64] = (((lower >> 4) & 3) + ((upper >> 2) & 4) - 4) * d2;
          into[to + 96] = ((lower >> 6) + ((upper >> 3) & 4) - 4) * d3;
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
      readCodes: codesByValue(own, "int8", {
        groupCodes: [...Array<number>(8).fill(0x11), 0xaa, 0xaa, 0xaa, 0xaa],
      }),
      groupSize: 16,
      factorDtype: "int8",
      typicalFactor: 16,
      factors: (planes) => {
        const { data } = plane(planes, "groupCodes", "uint8");
        return (group) => groupCode(data, (group >> 4) * GROUP_BYTES, group & 15) - 32;
      },
      minima: "no-minimum",
    }),
});

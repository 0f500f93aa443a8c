/**
 * @file The scales and minima of the 8 groups of a block of q4_k and q5_k: 16 codes of 6 bits in 12 bytes.
 *
 * Bytes 0 to 3 have the scales of groups 0 to 3 and bytes 4 to 7 their minima, in the lower 6 bits. Bytes 8 to 11 have
 * the lower 4 bits of groups 4 to 7, scales low and minima high; their upper 2 are the upper 2 bits of bytes 0 to 7.
 */

import { type Planes, plane } from "../planes.ts";

/** Bytes of the codes of a block. */
export const SIX_BIT_BYTES = 12;

/** The bytes of a block whose scales have the code 1 and whose minima the code 0. */
export const SIX_BIT_ONES = [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1];

/** What the affine views of both kinds read from these codes; groups are counted over all blocks. */
export const SIX_BIT_GROUPS = {
  groupSize: 32,
  factorDtype: "uint8",
  typicalFactor: 32,
  factors: (planes: Planes) => readerOf(planes, scaleCode),
  minima: (planes: Planes) => readerOf(planes, minCode),
} as const;

function readerOf(planes: Planes, read: typeof scaleCode): (group: number) => number {
  const { data } = plane(planes, "groupCodes", "uint8");
  return (group) => read(data, (group >> 3) * SIX_BIT_BYTES, group & 7);
}

/** Reads the code of a group's scale; `offset`: where the codes of the block begin. */
export function scaleCode(codes: Uint8Array, offset: number, group: number): number {
  if (group < 4) return codes[offset + group]! & 0x3f;
  return (codes[offset + 4 + group]! & 0x0f) | ((codes[offset + group - 4]! >> 6) << 4);
}

/** Reads the code of a group's minimum. */
export function minCode(codes: Uint8Array, offset: number, group: number): number {
  if (group < 4) return codes[offset + 4 + group]! & 0x3f;
  return (codes[offset + 4 + group]! >> 4) | ((codes[offset + group]! >> 6) << 4);
}

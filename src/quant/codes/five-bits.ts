/**
 * @file Codes of 5 bits in blocks of 32: a plane of their lower 4 bits, two codes to a byte, and one of their highest bits, 8
 * codes to a byte with the first in the lowest bit.
 */
import { hostTensor, type HostTensor } from "../../runtime/host-tensor.ts";
import { BLOCK, bytes, type Field, nibbles } from "../block.ts";
import { pairCodes } from "./nibbles.ts";
import { type Planes, plane } from "../planes.ts";

/** The fields of a block, after its scale. */
export const FIVE_BIT_FIELDS: readonly Field[] = [bytes("highBits", 4), nibbles("codes", BLOCK, 16)];

/** Returns the highest bits of the 32 codes of a block, the first code's in the lowest bit. */
export function highWord(highBits: Uint8Array, block: number): number {
  const at = 4 * block;
  return highBits[at]! | (highBits[at + 1]! << 8) | (highBits[at + 2]! << 16) | (highBits[at + 3]! << 24);
}

/** Splits codes, one per byte, into the two planes. */
export function splitFiveBits(all: Uint8Array): { codes: Uint8Array; highBits: Uint8Array } {
  const highBits = new Uint8Array(all.length / 8);
  for (let i = 0; i < all.length; i++) highBits[i >> 3]! |= (all[i]! >> 4) << (i & 7);
  return { codes: pairCodes(all), highBits };
}

/** Joins the two planes to codes, one per byte, [rows, columns]; the caller owns them. */
export function joinFiveBits(planes: Planes): HostTensor<"uint8"> {
  const { shape, data: pairs } = plane(planes, "codes", "uint8");
  const highBits = plane(planes, "highBits", "uint8").data;
  const codes = new Uint8Array(2 * pairs.length);
  for (let i = 0; i < pairs.length; i++) {
    const high = highBits[i >> 2]! >> (2 * (i & 3));
    codes[2 * i] = (pairs[i]! & 0x0f) | ((high & 1) << 4);
    codes[2 * i + 1] = (pairs[i]! >> 4) | ((high & 2) << 3);
  }
  return hostTensor("uint8", [...shape.slice(0, -1), 2 * shape.at(-1)!], codes);
}

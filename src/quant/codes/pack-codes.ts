/** @file Packs and unpacks integers of a few bits: each row is one bit stream, the lowest bit of each byte first. */
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";

/** Packs one row of codes below 2^bits into the bytes from `offset` on. */
export function packRow(codes: Uint8Array, bits: CodeBits, into: Uint8Array, offset: number): void {
  if (bits === 8) return into.set(codes, offset);
  let at = offset;
  let pending = 0;
  let numPending = 0;
  for (let i = 0; i < codes.length; i++) {
    pending |= codes[i]! << numPending;
    numPending += bits;
    if (numPending >= 8) {
      into[at++] = pending & 0xff;
      pending >>= 8;
      numPending -= 8;
    }
  }
  if (numPending > 0) into[at] = pending;
}

/** Unpacks codes of at most 8 bits from the bytes from `offset` on, as many as fit `into`. */
export function unpackRow(packed: Uint8Array, offset: number, bits: number, into: Uint8Array): void {
  const mask = 2 ** bits - 1;
  for (let i = 0, bit = 0; i < into.length; i++, bit += bits) {
    const at = offset + (bit >> 3);
    // A code lies in one byte or two; bits past the last byte are never part of a code.
    into[i] = ((packed[at]! | ((packed[at + 1] ?? 0) << 8)) >> (bit & 7)) & mask;
  }
}

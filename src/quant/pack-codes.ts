/** @file Packs whole numbers of a few bits: each row one bit stream, the lowest bit of each byte first. */
import type { CodeBits } from "../graph/ops/unpack-codes.ts";

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

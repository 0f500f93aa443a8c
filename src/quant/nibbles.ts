/**
 * @file Codes of 4 bits, two a byte, in ggml's order and in that of planes.
 *
 * ggml fills `distance` bytes with twice as many codes: code i in the low half of byte i, code i + distance in its high
 * half. Planes have neighbours in one byte (code 2k low, 2k + 1 high), which is the order of ONNX UINT4.
 */

/** Runs of bytes, one a block. */
export interface Runs {
  readonly data: Uint8Array;
  /** Offset of the first run. */
  readonly start: number;
  /** Bytes from one run to the next. */
  readonly stride: number;
}

/** Copies runs of `numBytes` code bytes, one for each block, from ggml's order to that of planes. */
export function joinNibbles(
  from: Runs,
  to: Runs,
  numBlocks: number,
  numBytes: number,
  distance: number,
): void {
  const [source, target] = [from.data, to.data];
  const half = distance / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = into + numBytes; into < end; into += distance, at += distance) {
      for (let k = 0; k < half; k++) {
        const even = source[at + 2 * k]!;
        const odd = source[at + 2 * k + 1]!;
        target[into + k] = (even & 0x0f) | ((odd & 0x0f) << 4);
        target[into + half + k] = (even >> 4) | (odd & 0xf0);
      }
    }
  }
}

/** Copies runs of `numBytes` code bytes, one for each block, back to ggml's order. */
export function splitNibbles(
  from: Runs,
  to: Runs,
  numBlocks: number,
  numBytes: number,
  distance: number,
): void {
  const [source, target] = [from.data, to.data];
  const half = distance / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = into + numBytes; into < end; into += distance, at += distance) {
      for (let k = 0; k < half; k++) {
        const near = source[at + k]!;
        const far = source[at + half + k]!;
        target[into + 2 * k] = (near & 0x0f) | ((far & 0x0f) << 4);
        target[into + 2 * k + 1] = (near >> 4) | (far & 0xf0);
      }
    }
  }
}

/** Puts codes of one byte each, below 16, two into a byte; what is above is cut off. */
export function pairCodes(codes: Uint8Array): Uint8Array {
  const pairs = new Uint8Array(codes.length / 2);
  for (let i = 0; i < pairs.length; i++) pairs[i] = (codes[2 * i]! & 0x0f) | (codes[2 * i + 1]! << 4);
  return pairs;
}

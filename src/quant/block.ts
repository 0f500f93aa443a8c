/**
 * @file Blocks of 32 elements, as ggml files have them: float16 fields and 4-bit codes.
 *
 * ggml puts element i of a block in the low half of byte i and element i + 16 in its high half. Planes have
 * neighbours in one byte (element 2k low, 2k + 1 high), which is the order of ONNX UINT4.
 */

/** Elements of a block. */
export const BLOCK = 32;

/** Bytes of the 4-bit codes of a block. */
export const NIBBLE_BYTES = BLOCK / 2;

/** Shape of the plane of scales: one for each block of a row. */
export function scaleShape(shape: readonly number[]): number[] {
  return [...shape.slice(0, -1), (shape.at(-1) ?? BLOCK) / BLOCK];
}

/** Shape of a plane of 4-bit codes: two in each byte. */
export function nibbleShape(shape: readonly number[]): number[] {
  return [...shape.slice(0, -1), (shape.at(-1) ?? 0) / 2];
}

/** Reads the 16 bits of a little-endian float16 field. */
export function readHalf(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8);
}

/** Writes the 16 bits of a little-endian float16 field. */
export function writeHalf(bytes: Uint8Array, offset: number, bits: number): void {
  bytes[offset] = bits & 0xff;
  bytes[offset + 1] = bits >> 8;
}

/** Copies the 16 code bytes of a block from ggml's order to neighbours in one byte. */
export function joinNibbles(from: Uint8Array, fromOffset: number, to: Uint8Array, toOffset: number): void {
  for (let k = 0; k < 8; k++) {
    const even = from[fromOffset + 2 * k]!;
    const odd = from[fromOffset + 2 * k + 1]!;
    to[toOffset + k] = (even & 0x0f) | ((odd & 0x0f) << 4);
    to[toOffset + 8 + k] = (even >> 4) | (odd & 0xf0);
  }
}

/** Copies the 16 code bytes of a block back to ggml's order. */
export function splitNibbles(from: Uint8Array, fromOffset: number, to: Uint8Array, toOffset: number): void {
  for (let k = 0; k < 8; k++) {
    const low = from[fromOffset + k]!;
    const high = from[fromOffset + 8 + k]!;
    to[toOffset + 2 * k] = (low & 0x0f) | ((high & 0x0f) << 4);
    to[toOffset + 2 * k + 1] = (low >> 4) | (high & 0xf0);
  }
}

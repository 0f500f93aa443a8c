/** @file CRC-32C (Castagnoli), which Node lacks, in the masked form that TensorFlow's records carry. */

const POLYNOMIAL = 0x82f63b78;
const MASK = 0xa282ead8;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
  return value;
});

/** The checksum of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 0xff]!;
  return ~value >>> 0;
}

/** The checksum rotated by 15 bits, plus a constant, so that checksums of data that contain checksums stay good. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const value = crc32c(bytes);
  return (((value >>> 15) | (value << 17)) + MASK) >>> 0;
}

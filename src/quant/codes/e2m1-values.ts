/**
 * @file Floats of 4 bits (sign, 2 bits of exponent, 1 of mantissa), "e2m1", and powers of two in a byte, "e8m0". As in ggml the
 * floats are doubled and the powers halved. From the OCP Microscaling Formats specification, version 1.0.
 */

/** Twice the value of each code. */
export const E2M1_DOUBLES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** The byte that means NaN. */
export const E8M0_NAN = 255;

/** Half of the power of two of each byte, 2^(byte - 128). */
export const E8M0_HALVES = Float32Array.from({ length: 256 }, (_, byte) => 2 ** (byte - 128));

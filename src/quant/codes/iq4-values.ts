/** @file The 16 numbers that the 4-bit codes of iq4_nl and iq4_xs stand for: denser around 0, like weights. */
export const IQ4_VALUES = Int8Array.of(
  -127,
  -104,
  -83,
  -65,
  -49,
  -35,
  -22,
  -10,
  1,
  13,
  25,
  38,
  53,
  69,
  89,
  113,
);

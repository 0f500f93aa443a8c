/** @file Storage q8_0: blocks of 32 signed bytes with one float16 scale; value = code * scale. */
import { symmetricBlocks } from "../affine/affine-blocks.ts";
import { BLOCK, defineBlocks, half, signedBytes } from "../block.ts";
import { float32ToFloat16, FLOAT16_VALUES } from "../codes/half.ts";
import { plane } from "../planes.ts";

export const q8_0 = defineBlocks({
  name: "q8_0",
  ggmlType: 8,
  ggufFileType: 7,
  summary: "8-bit codes in blocks of 32, one 16-bit scale per block.",
  blockSize: BLOCK,
  fields: [half("scale"), signedBytes("codes", BLOCK)],

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "int8").data.subarray(first * BLOCK, end * BLOCK);
    const scale = plane(planes, "scale", "float16").data;
    for (let block = first, i = 0; block < end; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      for (const stop = i + BLOCK; i < stop; i++) into[i] = codes[i]! * d;
    }
  },

  dequantizeRaw(bytes, into) {
    const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0, i = 0; at < bytes.length;) {
      const d = FLOAT16_VALUES[bytes[at]! | (bytes[at + 1]! << 8)]!;
      at += 2;
      for (const stop = i + BLOCK; i < stop; i++) into[i] = codes[at++]! * d;
    }
  },

  quantize(values) {
    const codes = new Int8Array(values.length);
    const scale = new Float32Array(values.length / BLOCK);
    for (let block = 0, at = 0; block < scale.length; block++) {
      const end = at + BLOCK;
      let peak = 0;
      for (let i = at; i < end; i++) peak = Math.max(peak, Math.abs(values[i]!));
      const d = Math.fround(peak / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      scale[block] = d;
      for (; at < end; at++) {
        // Halves round away from zero, as in C's roundf.
        const quotient = Math.fround(values[at]! * inverse);
        codes[at] = Math.sign(quotient) * Math.floor(Math.abs(quotient) + 0.5);
      }
    }
    return { codes, scale: float32ToFloat16(scale) };
  },

  isPlanned: true,
  affine: symmetricBlocks({ bits: 8, codes: "int8", zero: 0 }),
});

/**
 * @file Storage q8_0: blocks of 32 signed bytes with one float16 scale; value = code * scale.
 *
 * Planes: codes int8 [rows, columns], scale float16 [rows, columns / 32]. Raw block (34 bytes): scale, 32 codes.
 */
import { hostTensor } from "../runtime/host-tensor.ts";
import { symmetricBlocks } from "./affine-blocks.ts";
import { BLOCK, readHalf, scaleShape, writeHalf } from "./block.ts";
import { encodeFloat16, FLOAT16_VALUES } from "./half.ts";
import { type Storage, plane } from "./storage.ts";

const BLOCK_BYTES = 2 + BLOCK;

/** 8-bit codes in blocks of 32. */
export const q8_0: Storage = {
  name: "q8_0",
  ggmlTypes: [8],
  summary: "8-bit codes in blocks of 32, one 16-bit scale a block.",
  blockSize: BLOCK,
  blockBytes: BLOCK_BYTES,

  unpack(bytes, shape) {
    const numBlocks = bytes.length / BLOCK_BYTES;
    const codes = new Int8Array(numBlocks * BLOCK);
    const scale = new Uint16Array(numBlocks);
    const source = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let block = 0, from = 0, to = 0; block < numBlocks; block++) {
      scale[block] = readHalf(bytes, from);
      from += 2;
      // A plain loop: `set` of a 32-byte view takes several times as long.
      for (const end = to + BLOCK; to < end;) codes[to++] = source[from++]!;
    }
    return {
      codes: hostTensor("int8", shape, codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
    };
  },

  pack(planes) {
    const codes = plane(planes, "codes", "int8").data;
    const scale = plane(planes, "scale", "float16").data;
    const bytes = new Uint8Array(scale.length * BLOCK_BYTES);
    for (let block = 0, to = 0, from = 0; block < scale.length; block++) {
      writeHalf(bytes, to, scale[block]!);
      to += 2;
      for (const end = from + BLOCK; from < end;) bytes[to++] = codes[from++]!;
    }
    return bytes;
  },

  dequantize({ planes }, into) {
    const codes = plane(planes, "codes", "int8").data;
    const scale = plane(planes, "scale", "float16").data;
    for (let block = 0, i = 0; block < scale.length; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      for (const end = i + BLOCK; i < end; i++) into[i] = codes[i]! * d;
    }
  },

  quantize(values, shape) {
    const numBlocks = values.length / BLOCK;
    const codes = new Int8Array(values.length);
    const scale = new Uint16Array(numBlocks);
    for (let block = 0, at = 0; block < numBlocks; block++) {
      const end = at + BLOCK;
      let peak = 0;
      for (let i = at; i < end; i++) peak = Math.max(peak, Math.abs(values[i]!));
      const d = Math.fround(peak / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      scale[block] = encodeFloat16(d);
      for (; at < end; at++) {
        // Halves away from zero, as C's roundf has it.
        const quotient = Math.fround(values[at]! * inverse);
        codes[at] = Math.sign(quotient) * Math.floor(Math.abs(quotient) + 0.5);
      }
    }
    return {
      codes: hostTensor("int8", shape, codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
    };
  },

  affine: symmetricBlocks({ bits: 8, codes: "int8", zero: 0 }),
};

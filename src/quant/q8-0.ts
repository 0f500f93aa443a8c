/**
 * @file Storage q8_0: blocks of 32 signed bytes with one float16 scale; value = code * scale.
 *
 * Planes: codes int8 [rows, columns], scale float16 [rows, columns / 32]. Raw block (34 bytes): scale, 32 codes.
 */
import { hostTensor } from "../runtime/host-tensor.ts";
import { BLOCK, readHalf, scaleShape, writeHalf } from "./block.ts";
import { FLOAT16_VALUES } from "./half.ts";
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
};

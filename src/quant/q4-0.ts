/**
 * @file Storage q4_0: blocks of 32 4-bit codes with one float16 scale; value = (code - 8) * scale.
 *
 * Planes: codes uint8 [rows, columns / 2] (two a byte), scale float16 [rows, columns / 32].
 * Raw block (18 bytes): scale, 16 bytes of codes.
 */
import { hostTensor } from "../runtime/host-tensor.ts";
import { symmetricBlocks } from "./affine-blocks.ts";
import {
  BLOCK,
  NIBBLE_BYTES,
  joinNibbles,
  nibbleShape,
  readHalf,
  scaleShape,
  splitNibbles,
  writeHalf,
} from "./block.ts";
import { encodeFloat16, FLOAT16_VALUES } from "./half.ts";
import { type Storage, plane } from "./storage.ts";

const BLOCK_BYTES = 2 + NIBBLE_BYTES;

/** 4-bit codes in blocks of 32, symmetric. */
export const q4_0: Storage = {
  name: "q4_0",
  ggmlTypes: [2],
  summary: "4-bit codes in blocks of 32, one 16-bit scale a block.",
  blockSize: BLOCK,
  blockBytes: BLOCK_BYTES,

  unpack(bytes, shape) {
    const numBlocks = bytes.length / BLOCK_BYTES;
    const codes = new Uint8Array(numBlocks * NIBBLE_BYTES);
    const scale = new Uint16Array(numBlocks);
    for (let block = 0; block < numBlocks; block++) {
      scale[block] = readHalf(bytes, block * BLOCK_BYTES);
      joinNibbles(bytes, block * BLOCK_BYTES + 2, codes, block * NIBBLE_BYTES);
    }
    return {
      codes: hostTensor("uint8", nibbleShape(shape), codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
    };
  },

  pack(planes) {
    const codes = plane(planes, "codes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    const bytes = new Uint8Array(scale.length * BLOCK_BYTES);
    for (let block = 0; block < scale.length; block++) {
      writeHalf(bytes, block * BLOCK_BYTES, scale[block]!);
      splitNibbles(codes, block * NIBBLE_BYTES, bytes, block * BLOCK_BYTES + 2);
    }
    return bytes;
  },

  dequantize({ planes }, into) {
    const codes = plane(planes, "codes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    for (let block = 0, i = 0; block < scale.length; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      for (const end = i + NIBBLE_BYTES; i < end; i++) {
        const pair = codes[i]!;
        into[2 * i] = ((pair & 0x0f) - 8) * d;
        into[2 * i + 1] = ((pair >> 4) - 8) * d;
      }
    }
  },

  quantize(values, shape) {
    const numBlocks = values.length / BLOCK;
    const codes = new Uint8Array(numBlocks * NIBBLE_BYTES);
    const scale = new Uint16Array(numBlocks);
    for (let block = 0, at = 0; block < numBlocks; block++) {
      const end = (block + 1) * BLOCK;
      let peak = 0;
      for (let i = at; i < end; i++) if (Math.abs(values[i]!) > Math.abs(peak)) peak = values[i]!;
      const d = peak / -8;
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      scale[block] = encodeFloat16(d);
      const code = (value: number): number =>
        Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)));
      for (; at < end; at += 2) codes[at / 2] = code(values[at]!) | (code(values[at + 1]!) << 4);
    }
    return {
      codes: hostTensor("uint8", nibbleShape(shape), codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
    };
  },

  affine: symmetricBlocks({ bits: 4, codes: "uint8", zero: 8 }),
};

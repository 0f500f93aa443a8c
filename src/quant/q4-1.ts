/**
 * @file Storage q4_1: blocks of 32 4-bit codes with a float16 scale and minimum; value = code * scale + min.
 *
 * Planes: codes uint8 [rows, columns / 2] (two a byte), scale and min float16 [rows, columns / 32].
 * Raw block (20 bytes): scale, min, 16 bytes of codes.
 */
import { hostTensor } from "../runtime/host-tensor.ts";
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
import { FLOAT16_VALUES } from "./half.ts";
import { type Storage, plane } from "./storage.ts";

const BLOCK_BYTES = 4 + NIBBLE_BYTES;

/** 4-bit codes in blocks of 32 with a minimum. */
export const q4_1: Storage = {
  name: "q4_1",
  ggmlTypes: [3],
  summary: "4-bit codes in blocks of 32, a 16-bit scale and a 16-bit minimum a block.",
  blockSize: BLOCK,
  blockBytes: BLOCK_BYTES,

  unpack(bytes, shape) {
    const numBlocks = bytes.length / BLOCK_BYTES;
    const codes = new Uint8Array(numBlocks * NIBBLE_BYTES);
    const scale = new Uint16Array(numBlocks);
    const min = new Uint16Array(numBlocks);
    for (let block = 0; block < numBlocks; block++) {
      scale[block] = readHalf(bytes, block * BLOCK_BYTES);
      min[block] = readHalf(bytes, block * BLOCK_BYTES + 2);
      joinNibbles(bytes, block * BLOCK_BYTES + 4, codes, block * NIBBLE_BYTES);
    }
    return {
      codes: hostTensor("uint8", nibbleShape(shape), codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
      min: hostTensor("float16", scaleShape(shape), min),
    };
  },

  pack(planes) {
    const codes = plane(planes, "codes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    const bytes = new Uint8Array(scale.length * BLOCK_BYTES);
    for (let block = 0; block < scale.length; block++) {
      writeHalf(bytes, block * BLOCK_BYTES, scale[block]!);
      writeHalf(bytes, block * BLOCK_BYTES + 2, min[block]!);
      splitNibbles(codes, block * NIBBLE_BYTES, bytes, block * BLOCK_BYTES + 4);
    }
    return bytes;
  },

  dequantize({ planes }, into) {
    const codes = plane(planes, "codes", "uint8").data;
    const scale = plane(planes, "scale", "float16").data;
    const min = plane(planes, "min", "float16").data;
    for (let block = 0, i = 0; block < scale.length; block++) {
      const d = FLOAT16_VALUES[scale[block]!]!;
      const m = FLOAT16_VALUES[min[block]!]!;
      // Product and sum are exact in float64 here, so the store rounds once, as float32 arithmetic would.
      for (const end = i + NIBBLE_BYTES; i < end; i++) {
        const pair = codes[i]!;
        into[2 * i] = (pair & 0x0f) * d + m;
        into[2 * i + 1] = (pair >> 4) * d + m;
      }
    }
  },
};

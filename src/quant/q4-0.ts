/**
 * @file Storage q4_0: blocks of 32 4-bit codes with one float16 scale; value = (code - 8) * scale.
 *
 * Planes: codes uint8 [rows, columns / 2] (two a byte), scale float16 [rows, columns / 32].
 * Raw block (18 bytes): scale, 16 bytes of codes.
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
};

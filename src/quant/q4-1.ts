/**
 * @file Storage q4_1: blocks of 32 4-bit codes with a float16 scale and minimum; value = code * scale + min.
 *
 * Planes: codes uint8 [rows, columns / 2] (two a byte), scale and min float16 [rows, columns / 32].
 * Raw block (20 bytes): scale, min, 16 bytes of codes.
 */
import { hostTensor } from "../runtime/host-tensor.ts";
import { BLOCKS_WITH_MINIMUM } from "./affine-blocks.ts";
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

  quantize(values, shape) {
    const numBlocks = values.length / BLOCK;
    const codes = new Uint8Array(numBlocks * NIBBLE_BYTES);
    const scale = new Uint16Array(numBlocks);
    const min = new Uint16Array(numBlocks);
    for (let block = 0, at = 0; block < numBlocks; block++) {
      const end = (block + 1) * BLOCK;
      let [low, high] = [values[at]!, values[at]!];
      for (let i = at; i < end; i++) {
        if (values[i]! < low) low = values[i]!;
        if (values[i]! > high) high = values[i]!;
      }
      const d = Math.fround(Math.fround(high - low) / 15);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      scale[block] = encodeFloat16(d);
      min[block] = encodeFloat16(low);
      const code = (value: number): number =>
        Math.min(15, Math.trunc(Math.fround(Math.fround(Math.fround(value - low) * inverse) + 0.5)));
      for (; at < end; at += 2) codes[at / 2] = code(values[at]!) | (code(values[at + 1]!) << 4);
    }
    return {
      codes: hostTensor("uint8", nibbleShape(shape), codes),
      scale: hostTensor("float16", scaleShape(shape), scale),
      min: hostTensor("float16", scaleShape(shape), min),
    };
  },

  affine: BLOCKS_WITH_MINIMUM,
};

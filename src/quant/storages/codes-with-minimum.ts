/**
 * @file Storages m2, m3 and m8: integers of a few bits with a scale and a minimum for each group of a row, both floats of any
 * type; value = code · scale + minimum. They occur in MLX's folders, whose 4-bit codes are read as q4_1.
 *
 * Planes: codes uint8 [rows, bytes], each row a bit stream; scale and min, a float type, [rows, groups].
 */
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import { CODES_UNIT, dequantizePacked } from "../codes/packed-values.ts";
import { NOT_OF_GGML, type Storage } from "../storage.ts";

/** Makes the kind for codes of `bits` bits. */
export function codesWithMinimum<N extends string>(name: N, bits: CodeBits): Storage & { readonly name: N } {
  return {
    name,
    ...NOT_OF_GGML,
    summary: `${bits}-bit codes, a scale and a minimum for each group of a row: in model folders of MLX.`,
    blockSize: CODES_UNIT,
    blockBytes: bits,
    dequantize: dequantizePacked(bits),
    quantize: "read-only",
    affine: "not-affine",
  };
}

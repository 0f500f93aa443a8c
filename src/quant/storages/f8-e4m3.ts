/**
 * @file Storage f8_e4m3: floats of 8 bits (sign, 4 bits of exponent, 3 of mantissa; no infinities, "float8_e4m3fn") with a float32 scale
 * for each group of a row; value = float · scale. From arXiv:2209.05433, in groups as in DeepSeek-V3 (arXiv:2412.19437).
 *
 * Planes: codes uint8 [rows, columns], the bits of the floats; scale float32 [rows, groups].
 */
import { eachGroup } from "../codes/row-groups.ts";
import { plane } from "../planes.ts";
import { NOT_OF_GGML, type Storage } from "../storage.ts";

/** Elements of a block; a block size of 1 would mark the kind as plain floats. */
const UNIT = 8;

/** The value of each code. */
const VALUES = Float32Array.from({ length: 256 }, (_, code) => {
  const [sign, exponent, mantissa] = [code < 128 ? 1 : -1, (code >> 3) & 15, code & 7];
  if ((code & 127) === 127) return NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10));
});

export const f8_e4m3: Storage & { readonly name: "f8_e4m3" } = {
  name: "f8_e4m3",
  ...NOT_OF_GGML,
  summary:
    "8-bit floats with 3 bits of mantissa, a 32-bit scale for each group of a row or the whole of it: in model folders (FP8).",
  blockSize: UNIT,
  blockBytes: UNIT,

  dequantize(planes, first, end, into) {
    const { shape, data: codes } = plane(planes, "codes", "uint8");
    const { shape: scaleShape, data: scale } = plane(planes, "scale", "float32");
    const numColumns = shape.at(-1)!;
    const groups = { numColumns, groupSize: numColumns / scaleShape.at(-1)! };
    let i = 0;
    eachGroup(groups, first * UNIT, end * UNIT, ({ row, column, stop, group }) => {
      const s = scale[group]!;
      const to = row * numColumns + stop;
      for (let at = row * numColumns + column; at < to; at++, i++) into[i] = VALUES[codes[at]!]! * s;
    });
  },

  quantize: "read-only",
  affine: "not-affine",
};

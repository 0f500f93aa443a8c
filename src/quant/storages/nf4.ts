/**
 * @file Storage nf4: blocks of 64 codes of 4 bits that stand for the quantiles of a normal distribution, with the largest
 * magnitude of each block as its float32 scale; value = NF4_VALUES[code] * scale. From QLoRA (arXiv:2305.14314, appendix E).
 *
 * Planes: codes uint8 [rows, columns / 2], two to a byte; scale float32 [rows, columns / 64].
 */
import { hostTensor } from "../../runtime/host-tensor.ts";
import { pairCodes } from "../codes/nibbles.ts";
import { plane } from "../planes.ts";
import { NOT_OF_GGML, type Storage } from "../storage.ts";

const NF4_BLOCK = 64;

/** Quantiles of the normal distribution at equal shares of each half, scaled to [-1, 1], and 0. */
export const NF4_VALUES = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** Values above threshold i are rounded to code i + 1 or higher. */
const THRESHOLDS = NF4_VALUES.slice(1).map((value, i) => (value + NF4_VALUES[i]!) / 2);

export const nf4: Storage & { readonly name: "nf4" } = {
  name: "nf4",
  ...NOT_OF_GGML,
  summary:
    "4-bit codes of the quantiles of a normal distribution in blocks of 64, one 32-bit scale per block: in memory, and in folders of bitsandbytes.",
  blockSize: NF4_BLOCK,
  blockBytes: NF4_BLOCK / 2 + 4,

  dequantize(planes, first, end, into) {
    // The codes of these blocks only, so that one index serves codes and values.
    const codes = plane(planes, "codes", "uint8").data.subarray(first * 32, end * 32);
    const scale = plane(planes, "scale", "float32").data;
    for (let block = first, i = 0; block < end; block++) {
      const largest = scale[block]!;
      for (const stop = i + 32; i < stop; i++) {
        const pair = codes[i]!;
        into[2 * i] = NF4_VALUES[pair & 0x0f]! * largest;
        into[2 * i + 1] = NF4_VALUES[pair >> 4]! * largest;
      }
    }
  },

  quantize(values, shape) {
    const codes = new Uint8Array(values.length);
    const scale = new Float32Array(values.length / NF4_BLOCK);
    for (let block = 0, at = 0; block < scale.length; block++) {
      const end = at + NF4_BLOCK;
      let largest = 0;
      for (let i = at; i < end; i++) largest = Math.max(largest, Math.abs(values[i]!));
      scale[block] = largest;
      const inverse = largest === 0 ? 0 : Math.fround(1 / largest);
      for (; at < end; at++) codes[at] = nearestCode(Math.fround(values[at]! * inverse));
    }
    const [outer, columns] = [shape.slice(0, -1), shape.at(-1)!];
    return {
      codes: hostTensor("uint8", [...outer, columns / 2], pairCodes(codes)),
      scale: hostTensor("float32", [...outer, columns / NF4_BLOCK], scale),
    };
  },

  isPlanned: true,
  affine: "not-affine",
};

/** Finds the code whose value is nearest, by binary search. */
function nearestCode(value: number): number {
  let code = 0;
  for (let step = 8; step >= 1; step /= 2) if (value > THRESHOLDS[code + step - 1]!) code += step;
  return code;
}

/**
 * @file Quantizes float32 values to an affine weight:  code = clamp(round(w / s) + z, 0, 2^b − 1).
 *
 *   low = min(w, 0)  high = max(w, 0)  s = (high − low) / (2^b − 1)  z = clamp(round(−low / s), 0, 2^b − 1)
 *
 * per group of a row. Arithmetic is float64; s is rounded to float32 before codes are computed; halves go to even; z is
 * added after rounding. 0 is always in the range, so it is exactly representable. A group of zeros has s = 1.
 */
import { type CodeBits, packedBytes } from "../../graph/ops/products/unpack-codes.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { AffineFormat, AffineWeight } from "./affine.ts";
import { roundHalfEven, searchScale } from "./clip-search.ts";
import { packRow } from "../codes/pack-codes.ts";

/** How a scale is found: from the whole range, or with its ends clipped if that rounds better. */
export const SCALE_STARTS = ["rtn", "clip"] as const;
export type ScaleStart = (typeof SCALE_STARTS)[number];

interface QuantizeOptions {
  readonly bits: CodeBits;
  /** Columns that share a scale; they divide the columns. */
  readonly groupSize: number;
  readonly start: ScaleStart;
}

/** The format of the result of `quantizeAffine`. */
export function quantizedFormat({ bits, groupSize }: Omit<QuantizeOptions, "start">): AffineFormat {
  return { bits, codes: "uint8", groupSize, zero: "uint8", factor: null };
}

/**
 * Quantizes values [rows, columns]; the result is fresh.
 * @throws RangeError when the groups do not divide the columns
 */
export function quantizeAffine(
  values: Float32Array,
  shape: readonly [rows: number, columns: number],
  { bits, groupSize, start }: QuantizeOptions,
): AffineWeight {
  const [numRows, numColumns] = shape;
  if (numColumns % groupSize !== 0) {
    throw new RangeError(
      `Cannot quantize ${numColumns} columns in groups of ${groupSize}: they do not divide`,
    );
  }
  const numGroups = numColumns / groupSize;
  const rowBytes = packedBytes(bits, numColumns);
  const packed = new Uint8Array(numRows * rowBytes);
  const scale = new Float32Array(numRows * numGroups);
  const zero = new Uint8Array(numRows * numGroups);
  const codes = new Uint8Array(numColumns);
  const group = new Float64Array(groupSize);
  for (let row = 0, from = 0, at = 0; row < numRows; row++) {
    for (let first = 0; first < numColumns; first += groupSize, from += groupSize, at++) {
      for (let i = 0; i < groupSize; i++) group[i] = values[from + i]!;
      const fitted = fitGroup(group, 2 ** bits - 1, start);
      scale[at] = fitted.scale;
      zero[at] = fitted.zero;
      encodeGroup(group, fitted, codes, first);
    }
    packRow(codes, bits, packed, row * rowBytes);
  }
  return {
    codes: hostTensor("uint8", [numRows, rowBytes], packed),
    scale: hostTensor("float32", [numRows, numGroups], scale),
    zero: hostTensor("uint8", [numRows, numGroups], zero),
    factor: null,
  };
}

interface Fit {
  readonly scale: number;
  readonly zero: number;
  readonly largest: number;
}

function fitGroup(group: Float64Array, largest: number, start: ScaleStart): Fit {
  let [low, high] = [0, 0];
  for (let i = 0; i < group.length; i++) {
    const value = group[i]!;
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  const full = (high - low) / largest;
  // A group whose scale is below the smallest float32 counts as zeros too.
  if (Math.fround(full) === 0) return { scale: 1, zero: 0, largest };
  const zero = Math.min(roundHalfEven(-low / full), largest);
  if (start === "rtn") return { scale: Math.fround(full), zero, largest };
  const range = { low, high, lowCode: -zero, highCode: largest - zero, fullScale: full };
  return { scale: searchScale(group, range), zero, largest };
}

function encodeGroup(
  group: Float64Array,
  { scale, zero, largest }: Fit,
  codes: Uint8Array,
  offset: number,
): void {
  for (let i = 0; i < group.length; i++) {
    const code = roundHalfEven(group[i]! / scale) + zero;
    codes[offset + i] = code < 0 ? 0 : code > largest ? largest : code;
  }
}

/**
 * @file 16-bit floats to 32-bit floats and back, by table and by bits.
 *
 * float16 has 1 sign, 5 exponent and 10 mantissa bits; bfloat16 is the upper half of a float32. Both lie on the
 * host as raw bits in a Uint16Array, because Float16Array is missing in Node 22.
 */
import { showShape } from "../../graph/shape.ts";
import type { DataOf } from "../../graph/dtype.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Computes the values of all float16, exponent by exponent, which is fast, as it happens at every start. */
function decodeAll(): Float32Array {
  const values = new Float32Array(65536);
  for (let exponent = 0; exponent < 0x1f; exponent++) {
    // Subnormal numbers lack the leading one.
    const leading = exponent === 0 ? 0 : 1024;
    const unit = 2 ** (Math.max(exponent, 1) - 25);
    for (let mantissa = 0; mantissa < 1024; mantissa++) {
      const at = (exponent << 10) | mantissa;
      const value = (leading + mantissa) * unit;
      values[at] = value;
      values[at | 0x8000] = -value;
    }
  }
  values.fill(NaN, 0x7c00, 0x8000).fill(NaN, 0xfc00);
  values[0x7c00] = Infinity;
  values[0xfc00] = -Infinity;
  return values;
}

/** Value of each of the 65,536 float16 bit patterns: one load per value instead of ten bit operations. */
export const FLOAT16_VALUES: Float32Array = decodeAll();

/** Rounds the bits of a float32 to those of a float16, ties to even; values that are too large become infinity. */
function roundToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and more round up past the largest float16
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // Subnormal: units of 2^-24, so the mantissa moves right by as much as the exponent is below that of 2^-1.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

/** Whether all float16 are finite: an exponent of all ones means infinity or NaN. */
export function areFinite16(bits: Uint16Array): boolean {
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & 0x7c00) === 0x7c00) return false;
  return true;
}

/** Widens float16 bits to float32, into memory of the caller. */
export function widenFloat16(bits: Uint16Array, into: Float32Array): void {
  for (let i = 0; i < bits.length; i++) into[i] = FLOAT16_VALUES[bits[i]!]!;
}

/** Rounds float32 to float16 bits, ties to even; the caller owns the result. */
export function float32ToFloat16(values: Float32Array): DataOf<"float16"> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = roundToFloat16(words[i]!);
  return bits;
}

/** Widens bfloat16 bits to float32, into memory of the caller. */
export function widenBfloat16(bits: Uint16Array, into: Float32Array): void {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
}

/** Rounds float32 to bfloat16 bits, ties to even; the caller owns the result. */
export function float32ToBfloat16(values: Float32Array): DataOf<"bfloat16"> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]!;
    // Rounding could turn a NaN into infinity, so a NaN keeps its upper bits, with one mantissa bit set.
    const isNaN = (word & 0x7fffffff) > 0x7f800000;
    bits[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/**
 * Widens a float tensor to float32: a view when it is float32 already, else in memory of the caller or fresh.
 * @throws TypeError for other types.
 */
export function widen(tensor: HostTensor, memory?: DataOf<"float32">): HostTensor<"float32"> {
  const { dtype, shape, data } = tensor;
  if (dtype === "float32") return tensor as HostTensor<"float32">;
  const widenInto = { float16: widenFloat16, bfloat16: widenBfloat16 }[dtype as "float16" | "bfloat16"];
  if (widenInto) {
    const values = memory ?? new Float32Array(data.length);
    widenInto(data as Uint16Array, values);
    return { dtype: "float32", shape, data: values };
  }
  throw new TypeError(`Cannot widen tensor ${showShape(shape)}: ${dtype}, expected a float type`);
}

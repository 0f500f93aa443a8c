/** @file Rounds blocks of 32 values as ggml does: to codes of a few bits with a float16 scale, and optionally a minimum. */
import { BLOCK } from "../block.ts";
import { float32ToFloat16 } from "./half.ts";

interface RoundedBlocks {
  /** One per byte. */
  readonly codes: Uint8Array;
  /** Bits of float16. */
  readonly scale: Uint16Array;
}

/** Rounds to (code - middle) * scale, with codes from 0 to 2 middle - 1; the value furthest from 0 gets code 0. */
export function roundAroundMiddle(values: Float32Array, middle: number): RoundedBlocks {
  const codes = new Uint8Array(values.length);
  const scale = new Float32Array(values.length / BLOCK);
  for (let block = 0, at = 0; block < scale.length; block++) {
    const end = at + BLOCK;
    let peak = 0;
    for (let i = at; i < end; i++) if (Math.abs(values[i]!) > Math.abs(peak)) peak = values[i]!;
    const d = peak / -middle;
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    scale[block] = d;
    for (; at < end; at++) {
      const code = Math.trunc(Math.fround(Math.fround(values[at]! * inverse) + (middle + 0.5)));
      codes[at] = Math.min(2 * middle - 1, code);
    }
  }
  return { codes, scale: float32ToFloat16(scale) };
}

/** Rounds to code * scale + min, code from 0 to `largest`. */
export function roundAboveMinimum(
  values: Float32Array,
  largest: number,
): RoundedBlocks & { readonly min: Uint16Array } {
  const codes = new Uint8Array(values.length);
  const scale = new Float32Array(values.length / BLOCK);
  const min = new Float32Array(values.length / BLOCK);
  for (let block = 0, at = 0; block < scale.length; block++) {
    const end = at + BLOCK;
    let [low, high] = [values[at]!, values[at]!];
    for (let i = at; i < end; i++) {
      if (values[i]! < low) low = values[i]!;
      if (values[i]! > high) high = values[i]!;
    }
    const d = Math.fround(Math.fround(high - low) / largest);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    scale[block] = d;
    min[block] = low;
    for (; at < end; at++) {
      const steps = Math.fround(Math.fround(values[at]! - low) * inverse);
      codes[at] = Math.min(largest, Math.trunc(Math.fround(steps + 0.5)));
    }
  }
  return { codes, scale: float32ToFloat16(scale), min: float32ToFloat16(min) };
}

/**
 * @file The affine view of kinds that store blocks of codes with a float16 scale, and optionally a minimum.
 *
 * A minimum m makes the zero a real number, z = −m / scale, which stays frozen: a new scale s moves the minimum to −s z. All
 * values of a block with scale 0 are m, whatever its codes. It is read with codes 0 and scale |m| / 16, which gives exactly m.
 */
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import { hostTensor, type HostTensor } from "../../runtime/host-tensor.ts";
import { type AffineFormat, type AffineKind, type AffineMemory, fitFloat16 } from "./affine.ts";
import { BLOCK } from "../block.ts";
import { FLOAT16_VALUES, widen } from "../codes/half.ts";
import { type Planes, plane } from "../planes.ts";

/** Distance of code 0 from the zero in a block with scale 0. A power of two keeps the product exact. */
const CONSTANT_DISTANCE = 16;

/** Returns the packed codes from planes: a view of the plane, or fresh memory. */
export type ReadCodes<D extends "uint8" | "int8"> = (planes: Planes) => HostTensor<D>;

/** The view of kinds with codes, a plane of scales, and one zero for all groups. */
export function symmetricBlocks(
  format: Omit<AffineFormat, "groupSize" | "factor">,
  readCodes: ReadCodes<"uint8" | "int8"> = (planes) => plane(planes, "codes", format.codes),
): AffineKind {
  return {
    format: { ...format, groupSize: BLOCK, factor: null },
    read: (planes, memory) => ({
      codes: readCodes(planes),
      scale: widen(plane(planes, "scale", "float16"), memory?.scale),
      zero: null,
      factor: null,
    }),
    write(planes, { shape, data }, name) {
      const bits = fitFloat16(data, { name, what: "scale", numGroups: shape.at(-1)! });
      return { ...planes, scale: hostTensor("float16", shape, bits) };
    },
    hold: "own-codes-only",
  };
}

/** Reads scales and zeros of blocks with a minimum, and lists the blocks with scale 0 (`oneValued`). */
function readScales(
  planes: Planes,
  memory: AffineMemory = {},
): {
  scale: Float32Array;
  zero: Float32Array;
  oneValued: readonly number[];
} {
  const step = plane(planes, "scale", "float16").data;
  const min = plane(planes, "min", "float16").data;
  const values = FLOAT16_VALUES;
  const { scale = new Float32Array(step.length), zero = new Float32Array(step.length) } = memory;
  const oneValued: number[] = [];
  for (let block = 0; block < scale.length; block++) {
    const d = values[step[block]!]!;
    const m = values[min[block]!]!;
    if (d === 0) oneValued.push(block);
    scale[block] = d === 0 ? Math.abs(m) / CONSTANT_DISTANCE : d;
    zero[block] = d === 0 ? -Math.sign(m) * CONSTANT_DISTANCE : -m / d;
  }
  return { scale, zero, oneValued };
}

/** The view of kinds with codes, and planes of scales and minima. */
export function blocksWithMinimum(
  bits: CodeBits,
  readCodes: ReadCodes<"uint8"> = (planes) => plane(planes, "codes", "uint8"),
  hold: AffineKind["hold"] = "own-codes-only",
): AffineKind {
  const blockBytes = (BLOCK * bits) / 8;
  return {
    format: { bits, codes: "uint8", groupSize: BLOCK, zero: "float32", factor: null },
    hold,

    read(planes, memory) {
      const { shape } = plane(planes, "scale", "float16");
      const { scale, zero, oneValued } = readScales(planes, memory);
      let codes = readCodes(planes);
      for (const block of oneValued) {
        const [from, end] = [block * blockBytes, (block + 1) * blockBytes];
        if (codes.data.subarray(from, end).every((code) => code === 0)) continue;
        if (codes === planes["codes"]) codes = { ...codes, data: codes.data.slice() };
        codes.data.fill(0, from, end);
      }
      return {
        codes,
        scale: hostTensor("float32", shape, scale),
        zero: hostTensor("float32", shape, zero),
        factor: null,
      };
    },

    write(planes, { data }, name) {
      const { shape, data: step } = plane(planes, "scale", "float16");
      const { zero } = readScales(planes);
      const scales = new Float32Array(step.length);
      const minima = new Float32Array(step.length);
      for (let block = 0; block < scales.length; block++) {
        const old = FLOAT16_VALUES[step[block]!]!;
        // A block of one value keeps its scale of 0; otherwise its codes would take effect.
        scales[block] = old === 0 ? old : data[block]!;
        minima[block] = -data[block]! * zero[block]!;
      }
      const numGroups = shape.at(-1)!;
      const scaleBits = fitFloat16(scales, { name, what: "scale", numGroups });
      const minBits = fitFloat16(minima, { name, what: "minimum", numGroups });
      return {
        ...planes,
        scale: hostTensor("float16", shape, scaleBits),
        min: hostTensor("float16", shape, minBits),
      };
    },
  };
}

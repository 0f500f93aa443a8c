/**
 * @file The affine view of kinds with blocks of 256 that have a factor for each group, one float16 scale and optionally a minimum:
 *
 *   value = d f[g] q − dmin m[g] = d (f[g] q − (dmin / d) m[g])
 *
 * d is the scale, f are the factors. The zeros, (dmin / d) m[g], stay frozen, so a new d changes dmin in proportion. A block with
 * d = 0 has the values −dmin m[g]: it is read with the scale dmin and factors of 0, and keeps its d when written.
 */
import { hostTensor, type HostTensor } from "../../runtime/host-tensor.ts";
import { type AffineKind, fitFloat16 } from "./affine.ts";
import type { ReadCodes } from "./affine-blocks.ts";
import { SUPER_BLOCK } from "../block.ts";
import { FLOAT16_VALUES } from "../codes/half.ts";
import { type Planes, plane } from "../planes.ts";
import type { Storage } from "../storage.ts";

/** Bits of 1 in float16. */
const ONE = 0x3c00;

/** The definition of such a kind. */
interface SuperBlockKind {
  /** Bits of a code after reading. */
  readonly bits: 4 | 8;
  readonly dtype: "uint8" | "int8";
  readonly readCodes: ReadCodes<"uint8" | "int8">;
  /** Columns of a group. */
  readonly groupSize: number;
  readonly factorDtype: "uint8" | "int8";
  readonly typicalFactor: number;
  /** Makes a reader of the factors of groups, counted over all blocks. */
  factors(planes: Planes): (group: number) => number;
  /** Makes a reader of the groups' multipliers m of the minimum. */
  readonly minima: "no-minimum" | ((planes: Planes) => (group: number) => number);
}

/** Returns the shape of a plane with one number per group: [..., blocks · groups of a block]. */
function groupShape(shape: readonly number[], blockGroups: number): number[] {
  return [...shape.slice(0, -1), shape.at(-1)! * blockGroups];
}

function readFactors(kind: SuperBlockKind, planes: Planes): HostTensor<"uint8" | "int8"> {
  const { factorDtype, groupSize, minima } = kind;
  const blockGroups = SUPER_BLOCK / groupSize;
  const { shape, data: step } = plane(planes, "scale", "float16");
  const factorOf = kind.factors(planes);
  const factors = new (factorDtype === "int8" ? Int8Array : Uint8Array)(step.length * blockGroups);
  for (let group = 0; group < factors.length; group++) {
    const isConstant =
      minima !== "no-minimum" && FLOAT16_VALUES[step[Math.floor(group / blockGroups)]!] === 0;
    factors[group] = isConstant ? 0 : factorOf(group);
  }
  return { dtype: factorDtype, shape: groupShape(shape, blockGroups), data: factors };
}

/** Reads scale and dmin / d of each block. */
function readScales(planes: Planes, hasMinimum: boolean): { scale: Float32Array; ratio: Float64Array } {
  const step = plane(planes, "scale", "float16").data;
  const scale = Float32Array.from(step, (half) => FLOAT16_VALUES[half]!);
  const ratio = new Float64Array(step.length);
  if (!hasMinimum) return { scale, ratio };
  const min = plane(planes, "min", "float16").data;
  for (let block = 0; block < scale.length; block++) {
    const [d, dmin] = [scale[block]!, FLOAT16_VALUES[min[block]!]!];
    scale[block] = d === 0 ? dmin : d;
    ratio[block] = d === 0 ? 1 : dmin / d;
  }
  return { scale, ratio };
}

/** Replaces the scales of blocks; minima keep their ratio to them. @throws as `fitFloat16` */
function writeScales(
  planes: Planes,
  { shape, data }: HostTensor<"float32">,
  name: string,
  hasMinimum: boolean,
): Planes {
  const fit = (values: Float32Array, what: string): HostTensor =>
    hostTensor("float16", shape, fitFloat16(values, { name, numGroups: shape.at(-1)!, what }));
  if (!hasMinimum) return { ...planes, scale: fit(data, "scale") };
  const step = plane(planes, "scale", "float16").data;
  const { ratio } = readScales(planes, hasMinimum);
  // A block with scale 0 keeps it; otherwise its codes would take effect.
  const scales = data.map((scale, block) => (FLOAT16_VALUES[step[block]!] === 0 ? 0 : scale));
  const minima = data.map((scale, block) => scale * ratio[block]!);
  return { ...planes, scale: fit(scales, "scale"), min: fit(minima, "minimum") };
}

/** Makes the affine view of a kind with a plane "scale" and, with minima, "min". */
export function superBlocks(kind: SuperBlockKind): AffineKind {
  const { bits, dtype, readCodes, groupSize, factorDtype, typicalFactor, minima } = kind;
  const blockGroups = SUPER_BLOCK / groupSize;
  const hasMinimum = minima !== "no-minimum";

  return {
    format: {
      bits,
      codes: dtype,
      groupSize: SUPER_BLOCK,
      zero: hasMinimum ? "float32" : 0,
      factor: { groupSize, dtype: factorDtype, typical: typicalFactor },
    },

    read(planes) {
      const { shape } = plane(planes, "scale", "float16");
      const { scale, ratio } = readScales(planes, hasMinimum);
      const minimumOf = hasMinimum ? minima(planes) : null;
      const zero =
        minimumOf &&
        Float32Array.from(
          { length: scale.length * blockGroups },
          (_, group) => ratio[Math.floor(group / blockGroups)]! * minimumOf(group),
        );
      return {
        codes: readCodes(planes),
        scale: hostTensor("float32", shape, scale),
        zero: zero && hostTensor("float32", groupShape(shape, blockGroups), zero),
        factor: readFactors(kind, planes),
      };
    },

    write: (planes, scales, name) => writeScales(planes, scales, name, hasMinimum),
    hold: "own-codes-only",
  };
}

/**
 * Reads codes, one per byte, as the integers that they stand for: the values of the same blocks with scales of 1, no minima, and
 * factors of 1, for which `groups` gives the bytes of planes.
 */
export function codesByValue(
  { blockSize, dequantize }: Pick<Storage, "blockSize" | "dequantize">,
  dtype: "uint8" | "int8",
  groups: Readonly<Record<string, readonly number[]>> = {},
): ReadCodes<"uint8" | "int8"> {
  return (planes) => {
    const { shape, data: step } = plane(planes, "scale", "float16");
    const unit: Record<string, HostTensor> = { ...planes };
    unit["scale"] = hostTensor("float16", shape, step.slice().fill(ONE));
    if (planes["min"]) unit["min"] = hostTensor("float16", shape, new Uint16Array(step.length));
    for (const [name, pattern] of Object.entries(groups)) {
      const own = planes[name]!;
      const ones = own.data.slice();
      for (let i = 0; i < ones.length; i++) ones[i] = pattern[i % pattern.length]!;
      unit[name] = { ...own, data: ones };
    }
    const codes = new (dtype === "int8" ? Int8Array : Uint8Array)(step.length * blockSize);
    const rowBlocks = shape.at(-1)!;
    const values = new Float32Array(rowBlocks * blockSize);
    for (let block = 0; block < step.length; block += rowBlocks) {
      dequantize(unit, block, block + rowBlocks, values);
      codes.set(values, block * blockSize);
    }
    return { dtype, shape: [...shape.slice(0, -1), rowBlocks * blockSize], data: codes };
  };
}

/** Reads one byte per group. */
export function groupBytes(
  name: string,
  dtype: "uint8" | "int8",
): (planes: Planes) => (group: number) => number {
  return (planes) => {
    const { data } = plane(planes, name, dtype);
    return (group) => data[group]!;
  };
}

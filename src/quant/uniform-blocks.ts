/**
 * @file Converts a stored matrix to blocks of 4- or 8-bit codes around a middle, each with a scale s and optionally an offset o:
 *
 *   value = s (code − middle) + o      s = scale · factor      o = s (middle − shift) − scale · zero
 *
 * `shift` is added to a kind's own codes. Codes are not rounded; s and o are rounded once, to float32. Kinds of other widths are
 * widened to 8 bits. Kinds that are "not-affine", or whose group size differs between tensors, have no such blocks.
 */
import { DTYPES } from "../graph/dtype.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { AffineKind } from "./affine/affine.ts";
import { flipSigns } from "./codes/flip-signs.ts";
import type { Planes } from "./planes.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { type StorageName, STORAGES } from "./storages.ts";

/** How the codes of a kind lie in blocks. */
export interface BlockForm {
  readonly bits: 4 | 8;
  /** Columns of a block. */
  readonly size: number;
  readonly hasOffsets: boolean;
}

/** Memory for the blocks of a matrix: codes, two to a byte if they have 4 bits; scales and offsets [out, blocks]. */
export interface BlockMemory {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array | null;
}

/** The code of zero. */
const MIDDLE = { 4: 8, 8: 128 } as const;
/** Shift of codes widened to 8 bits, which have at most 5 bits: it moves their middle, 16, to that of 8 bits. */
const WIDENED_SHIFT = 112;

/** Returns how the codes of a kind lie in blocks; null: they do not. */
export function blockFormOf(storage: StorageName): BlockForm | null {
  const { affine } = STORAGES[storage];
  if (affine === "not-affine") return null;
  const { bits, groupSize, factor, zero, codes } = affine.format;
  const size = factor?.groupSize ?? groupSize;
  if (size === "of-each-tensor" || !(bits === 8 || (bits === 4 && codes === "uint8"))) return null;
  const hasOffsets = typeof zero !== "number" || (bits === 4 && zero !== MIDDLE[4]);
  return { bits, size, hasOffsets };
}

/**
 * Views the memory of blocks as planes of a kind whose codes already have this form: codes are read into their final place, and
 * float16 scales and minima to where they are widened, so that nothing is written twice.
 */
export function blockPlanes(storage: StorageName, { codes, scales, offsets }: BlockMemory): Planes {
  const { codes: type } = (STORAGES[storage].affine as AffineKind).format;
  const { buffer, byteOffset, length } = codes;
  const data = new DTYPES[type].array(buffer as ArrayBuffer, byteOffset, length);
  return {
    codes: hostTensor(type, [length], data),
    scale: upperHalf(scales),
    ...(offsets && { min: upperHalf(offsets) }),
  };
}

/** The upper half of memory for float32 values, in which their float16 numbers are placed first: see `AffineMemory`. */
function upperHalf({ buffer, byteOffset, length }: Float32Array): HostTensor<"float16"> {
  const data = new Uint16Array(buffer, byteOffset + 2 * length, length);
  return hostTensor("float16", [length], data);
}

/** Writes the blocks of a matrix whose kind has this form; its planes may lie in the memory of `blockPlanes`. */
export function readBlocks({ storage, planes }: StoredTensor, into: BlockMemory): void {
  const kind = STORAGES[storage].affine as AffineKind;
  const { bits, codes: type, groupSize, factor: factors, zero: common } = kind.format;
  const memory = { scale: into.scales, ...(into.offsets && { zero: into.offsets }) };
  const { codes, scale, zero, factor } = kind.read(planes, factors ? {} : memory);
  const shift = bits === 4 ? 0 : shiftOf(type, common);
  const bytes = new Uint8Array(codes.data.buffer, codes.data.byteOffset, codes.data.length);
  const isInPlace = bytes.buffer === into.codes.buffer && bytes.byteOffset === into.codes.byteOffset;
  if (shift === 0) {
    if (!isInPlace) into.codes.set(bytes);
  } else if (shift === MIDDLE[8]) flipSigns(bytes, into.codes);
  else for (let i = 0; i < bytes.length; i++) into.codes[i] = bytes[i]! + shift;
  const scales = {
    own: scale.data,
    factors: factor?.data ?? null,
    perScale: factors ? (groupSize as number) / factors.groupSize : 1,
  };
  writeScales(into.scales, scales);
  if (into.offsets) {
    const zeros = typeof common === "number" ? common : zero!.data;
    writeOffsets(into.offsets, scales, zeros, MIDDLE[bits as 4 | 8] - shift);
  }
}

/** Scales of groups; with a factor for each block, also how many blocks share a scale. */
interface GroupScales {
  readonly own: Float32Array;
  readonly factors: Uint8Array | Int8Array | null;
  readonly perScale: number;
}

// Separate loops: a model has millions of blocks, and V8 would recompile a loop shared by all kinds for each kind.

function writeScales(into: Float32Array, { own, factors, perScale }: GroupScales): void {
  if (!factors) {
    if (own !== into) into.set(own);
    return;
  }
  for (let block = 0; block < into.length; block++) {
    into[block] = own[Math.floor(block / perScale)]! * factors[block]!;
  }
}

function writeOffsets(
  into: Float32Array,
  { own, factors, perScale }: GroupScales,
  zeros: number | Float32Array | Uint8Array,
  middle: number,
): void {
  for (let block = 0; block < into.length; block++) {
    const one = own[perScale === 1 ? block : Math.floor(block / perScale)]!;
    const step = factors ? one * factors[block]! : one;
    into[block] = step * middle - one * (typeof zeros === "number" ? zeros : zeros[block]!);
  }
}

/** Returns what is added to codes of 8 bits. */
function shiftOf(type: "uint8" | "int8", zero: AffineKind["format"]["zero"]): number {
  if (typeof zero === "number") return MIDDLE[8] - zero;
  return type === "int8" ? MIDDLE[8] : WIDENED_SHIFT;
}

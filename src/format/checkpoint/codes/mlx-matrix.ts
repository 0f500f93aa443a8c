/**
 * @file How a matrix of MLX's form is held. One of 4 bits is q4_1 with scales that several blocks share, so it is held as q4_1,
 * with scales in float16: exact except for subnormal numbers. Others keep scales and minima unchanged; codes of 5 and 6 bits take a
 * byte each.
 */
import { type CodeBits, packedBytes } from "../../../graph/ops/products/unpack-codes.ts";
import { unpackRow } from "../../../quant/codes/pack-codes.ts";
import { float32ToFloat16, widen } from "../../../quant/codes/half.ts";
import type { Planes } from "../../../quant/planes.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { HeldForm } from "./codes-form.ts";

/** Bits that codes may have. */
export const MLX_BITS = [2, 3, 4, 5, 6, 8] as const;

/** Sizes of groups are multiples of this. */
export const { blockSize: MLX_BLOCK } = STORAGES.q4_1;

/** Storages that hold codes of other bits than 4, and their bits. */
const KINDS = { 2: ["m2", 2], 3: ["m3", 3], 5: ["m8", 8], 6: ["m8", 8], 8: ["m8", 8] } as const;

/** The settings of a matrix in the file. */
export interface MlxSettings {
  readonly bits: (typeof MLX_BITS)[number];
  readonly groupSize: number;
}

interface HeldMatrix {
  readonly held: HeldForm;
  /** Makes planes from packed codes, and from scales and biases [rows, groups] of 16 bits. */
  readonly planesOf: (codes: Uint8Array<ArrayBuffer>, scale: HostTensor, min: HostTensor) => Planes;
}

/** Chooses how a matrix [rows, columns] is held. */
export function heldMatrix({ bits, groupSize }: MlxSettings, shape: readonly number[]): HeldMatrix {
  const [numRows = 0, numColumns = 0] = shape;
  if (bits === 4) {
    return {
      held: { storage: "q4_1", sizeBytes: storedBytes(STORAGES.q4_1, shape) },
      planesOf: (codes, scale, min) => ({
        codes: hostTensor("uint8", [numRows, numColumns / 2], codes),
        scale: perBlock(scale, groupSize),
        min: perBlock(min, groupSize),
      }),
    };
  }
  const [storage, heldBits] = KINDS[bits];
  const rowBytes = packedBytes(heldBits, numColumns);
  return {
    held: { storage, groupSize, sizeBytes: numRows * (rowBytes + (4 * numColumns) / groupSize) },
    planesOf: (codes, scale, min) => ({
      codes: hostTensor("uint8", [numRows, rowBytes], inBits(heldBits, codes, bits)),
      scale,
      min,
    }),
  };
}

/** Repeats the number of each group for each of its blocks, in float16. */
function perBlock(ofGroups: HostTensor, groupSize: number): HostTensor<"float16"> {
  const [numRows = 0, rowGroups = 0] = ofGroups.shape;
  const values = float32ToFloat16(widen(ofGroups).data);
  const repeated = groupSize / MLX_BLOCK;
  const blocks = new Uint16Array(values.length * repeated).map((_, i) => values[Math.floor(i / repeated)]!);
  return hostTensor("float16", [numRows, rowGroups * repeated], blocks);
}

/** Returns packed codes unchanged if they are held in as many bits, else unpacked to a byte each. */
function inBits(held: CodeBits, packed: Uint8Array<ArrayBuffer>, bits: number): Uint8Array<ArrayBuffer> {
  if (held === bits) return packed;
  const codes = new Uint8Array((packed.length * 8) / bits);
  unpackRow(packed, 0, bits, codes);
  return codes;
}

/**
 * @file A weight as frozen integers with a scale for each group of a row, and zeros within it:
 *
 *   value[i, j] = scale[i, g] · (factor[i, f] · code[i, j] − zero[i, f])   g = ⌊j / groupSize⌋  f = ⌊j / factor.groupSize⌋
 *
 * Without factors these are 1, and there is one zero per scale. Codes are packed at their true width (graph/ops/products/unpack-codes).
 * An `AffineKind` lets a storage kind be read this way, and be given other scales without changing any code.
 */
import { UsageError } from "../../errors.ts";
import type { DataOf } from "../../graph/dtype.ts";
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { float32ToFloat16, FLOAT16_VALUES } from "../codes/half.ts";
import type { Planes } from "../planes.ts";

/** How the codes of a weight are stored. */
export interface AffineFormat {
  /** Bits of a packed code, which may be more than in its file. */
  readonly bits: CodeBits;
  /** Element type of the packed codes; "int8" when they are signed. */
  readonly codes: "uint8" | "int8";
  /** Columns that share a scale; they divide the columns of the weight. */
  readonly groupSize: number;
  /** The zero shared by all groups, else the element type of the zeros. */
  readonly zero: number | "uint8" | "float32";
  /** Frozen factors of smaller groups within those of a scale; null: there are none. */
  readonly factor: FactorFormat | null;
}

/** How the factors of a weight are stored. */
interface FactorFormat {
  /** Columns that share a factor and a zero; they divide those of a scale. */
  readonly groupSize: number;
  readonly dtype: "uint8" | "int8";
  /** Their typical size, a power of two: a scale is smaller by this than without factors. */
  readonly typical: number;
}

/** The format of a storage kind; the size of groups "of-each-tensor" differs between tensors. */
interface KindFormat extends Omit<AffineFormat, "groupSize"> {
  readonly groupSize: number | "of-each-tensor";
}

/** A weight [rows, columns] in parts: views of what it was read from, or fresh memory. */
export interface AffineWeight {
  /** [rows, bytes of a row] */
  readonly codes: HostTensor<"uint8" | "int8">;
  /** [rows, groups] */
  readonly scale: HostTensor<"float32">;
  /** [rows, groups of a zero]; null when the format has one zero for all. */
  readonly zero: HostTensor<"uint8" | "float32"> | null;
  /** [rows, groups of a factor] */
  readonly factor: HostTensor<"uint8" | "int8"> | null;
}

/**
 * Memory for all scales and zeros. They are written from the first on, so that float16 planes in its upper half are read before
 * they are overwritten.
 */
export interface AffineMemory {
  readonly scale?: Float32Array;
  readonly zero?: Float32Array;
}

/** How the planes of a storage kind are read and written as an affine weight. */
export interface AffineKind {
  readonly format: KindFormat;
  /** Reads planes; the codes are a view of theirs where the kind allows, scales and zeros are in `memory` if given. */
  read(planes: Planes, memory?: AffineMemory): AffineWeight;
  /**
   * Replaces the scales [rows, groups] of planes, rounded to the kind's own floats. Codes stay the same, and unchanged planes are
   * shared. @throws UsageError "usage/scale" when a scale does not fit; `name` is for its message.
   */
  write(planes: Planes, scale: HostTensor<"float32">, name: string): Planes;
  /** How the kind stores codes that were made elsewhere; "own-codes-only": it cannot. */
  readonly hold: "own-codes-only" | HoldCodes;
}

/** How a kind stores the unchanged codes of any weight. */
export interface HoldCodes {
  /** Whether it has room for such codes, zeros and groups. */
  fits(format: AffineFormat): boolean;
  /**
   * Makes planes from a weight [rows, columns] that fits; unchanged data is shared. Scales, and minima if any, are rounded to the
   * kind's floats. @throws UsageError "usage/scale" as `write`
   */
  pack(format: AffineFormat, weight: AffineWeight, columns: number, name: string): Planes;
}

/** Describes numbers for a message. */
interface NumbersLabel {
  /** Name of the tensor. */
  readonly name: string;
  /** What the numbers in it are: "scale". */
  readonly what: string;
  readonly numGroups: number;
}

/**
 * Rounds numbers to float16 bits; numbers closer to 0 than 3e-8 become 0, as occurs in nearly dead rows of a model.
 * @throws UsageError "usage/scale" when one does not fit.
 */
export function fitFloat16(values: Float32Array, numbers: NumbersLabel): DataOf<"float16"> {
  const bits = float32ToFloat16(values);
  const bad = bits.findIndex((half) => !Number.isFinite(FLOAT16_VALUES[half]!));
  if (bad >= 0) throw doesNotFit(values[bad]!, bad, numbers);
  return bits;
}

function doesNotFit(value: number, at: number, { name, what, numGroups }: NumbersLabel): UsageError {
  const [row, group] = [Math.floor(at / numGroups), at % numGroups];
  return new UsageError(
    "usage/scale",
    `Cannot write ${what} of "${name}", row ${row}, group ${group}: ${value}, which float16 cannot hold, expected a magnitude up to 65504`,
    {
      hint: "Train with a smaller learning rate, or write the merged model as a folder of float32.",
    },
  );
}

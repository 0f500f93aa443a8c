/**
 * @file A weight as frozen whole numbers with a scale for each group of a row, and in it a zero:
 *
 *   value[i, j] = scale[i, g] · (factor[i, f] · code[i, j] − zero[i, f])   g = ⌊j / groupSize⌋  f = ⌊j / factor.groupSize⌋
 *
 * Without factors they are 1, and zeros go with the scales. Codes are packed at their true width (graph/ops/products/unpack-codes).
 * What a storage kind needs to be read so, and to be given other scales without a change of any code, is its `AffineKind`.
 */
import { UsageError } from "../../errors.ts";
import type { DataOf } from "../../graph/dtype.ts";
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { float32ToFloat16, FLOAT16_VALUES } from "../codes/half.ts";
import type { Planes } from "../planes.ts";

/** How the codes of a weight are kept. */
export interface AffineFormat {
  /** Bits of a packed code; one that has fewer in its file may be widened. */
  readonly bits: CodeBits;
  /** Element type of the packed codes; "int8" when they are signed. */
  readonly codes: "uint8" | "int8";
  /** Columns that share a scale; they divide the columns of the weight. */
  readonly groupSize: number;
  /** The zero when all groups have the same, else the element type of the zeros. */
  readonly zero: number | "uint8" | "float32";
  /** Frozen factors of groups inside those of a scale; null: there are none. */
  readonly factor: FactorFormat | null;
}

/** How the factors of a weight are kept. */
interface FactorFormat {
  /** Columns that share a factor and a zero; they divide those of a scale. */
  readonly groupSize: number;
  readonly dtype: "uint8" | "int8";
  /** What they are about, a power of two: so much smaller is a scale over them than one of a group without. */
  readonly typical: number;
}

/** What a storage kind says of a format; groups "of-each-tensor" are as large as each tensor says. */
interface KindFormat extends Omit<AffineFormat, "groupSize"> {
  readonly groupSize: number | "of-each-tensor";
}

/** A weight [rows, columns] in parts; views of what it was read from, or fresh. */
export interface AffineWeight {
  /** [rows, bytes of a row] */
  readonly codes: HostTensor<"uint8" | "int8">;
  /** [rows, groups] */
  readonly scale: HostTensor<"float32">;
  /** [rows, groups of a zero]; null when the format says the one zero. */
  readonly zero: HostTensor<"uint8" | "float32"> | null;
  /** [rows, groups of a factor] */
  readonly factor: HostTensor<"uint8" | "int8"> | null;
}

/**
 * Memory for as many scales and zeros as there are. They are written from the first on, so that float16 planes which lie in
 * its upper half are read before they are written over.
 */
export interface AffineMemory {
  readonly scale?: Float32Array;
  readonly zero?: Float32Array;
}

/** How the planes of a storage kind are read and written as an affine weight. */
export interface AffineKind {
  readonly format: KindFormat;
  /** Reads planes; the codes are a view of theirs where the kind allows, scales and zeros may come to lie in `memory`. */
  read(planes: Planes, memory?: AffineMemory): AffineWeight;
  /**
   * Gives planes other scales [rows, groups], rounded to the kind's own floats; every code stays as it is, and planes
   * that do not change are shared. @throws UsageError "usage/scale" when a scale does not fit; `name` is for its message.
   */
  write(planes: Planes, scale: HostTensor<"float32">, name: string): Planes;
  /** How it takes codes that were made elsewhere; "own-codes-only": it cannot. */
  readonly hold: "own-codes-only" | HoldCodes;
}

/** How a kind takes the codes of a weight as they are. */
export interface HoldCodes {
  /** Whether it has room for such codes, zeros and groups. */
  fits(format: AffineFormat): boolean;
  /**
   * Makes planes of a weight [rows, columns] that fits; what does not change is shared. Scales, and minima where there are
   * some, are rounded to the kind's floats. @throws UsageError "usage/scale" as `write`
   */
  pack(format: AffineFormat, weight: AffineWeight, columns: number, name: string): Planes;
}

/** What numbers are, for a message. */
interface NumbersLabel {
  /** Name of the tensor. */
  readonly name: string;
  /** What the numbers in it are: "scale". */
  readonly what: string;
  readonly numGroups: number;
}

/**
 * Rounds numbers to float16 bits; what is nearer to 0 than 3e-8 becomes 0, as nearly dead rows of a model have it.
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

/**
 * @file Contract of a storage kind: how a checkpoint stores the numbers of a tensor.
 *
 * Graphs read the planes; the raw bytes are in the layout of ggml files. In planes, codes of 4 bits lie two to a byte, the even
 * element in the low half, as in ONNX UINT4.
 */
import { assertInternal } from "../errors.ts";
import { numElements } from "../graph/shape.ts";
import type { DataOf } from "../graph/dtype.ts";
import type { AffineKind } from "./affine/affine.ts";
import type { Planes } from "./planes.ts";

/** One way to store a tensor. */
export interface Storage {
  readonly name: string;
  /** Numbers of the type in ggml files; empty: the kind is not in ggml, and `pack` and `unpack` must not be called. */
  readonly ggmlTypes: readonly number[];
  /**
   * The `general.file_type` of GGUF files whose matrices are mostly of this kind (llama.cpp's `llama_ftype`); absent: graft
   * rounds no model to it.
   */
  readonly ggufFileType?: number;
  /** One sentence for the documentation. */
  readonly summary: string;
  /** Elements of a row that form a block; the width of a tensor is a multiple of this. */
  readonly blockSize: number;
  /** Bytes of one such block in the raw layout. */
  readonly blockBytes: number;
  /**
   * Splits raw bytes into planes: views of `bytes` where layout and alignment allow, else in `memory` (planes of an earlier call
   * with at least as many elements), else fresh.
   */
  unpack(bytes: Uint8Array, shape: readonly number[], memory?: Planes): Planes;
  /** Joins planes into raw bytes, the exact inverse of `unpack`; the caller owns the result. */
  pack(planes: Planes, shape: readonly number[]): Uint8Array;
  /**
   * Computes the float32 values of blocks `first` up to but not including `end`, counted over all rows, bit for bit as ggml does,
   * into the caller's memory.
   */
  dequantize(planes: Planes, first: number, end: number, into: DataOf<"float32">): void;
  /**
   * Computes the values of all given raw blocks, like `unpack` and `dequantize`, in a third of the time; absent: not implemented
   * for this kind.
   */
  readonly dequantizeRaw?: (bytes: Uint8Array, into: DataOf<"float32">) => void;
  /**
   * Rounds values to planes, bit for bit as ggml's reference does; the caller owns them. "read-only": graft does not write such
   * tensors, as ggml's reference searches for the best scales, or the kind is not in ggml.
   */
  readonly quantize: "read-only" | ((values: DataOf<"float32">, shape: readonly number[]) => Planes);
  /** Whether all scales are finite, for kinds whose scales are not floats; absent: scales are floats and are checked as such. */
  readonly areScalesNumbers?: (planes: Planes) => boolean;
  /** Set if a plan may round a base to it to make a run fit; absent for kinds when another with as many bits is more accurate. */
  readonly isPlanned?: true;
  /** How planes can be viewed as frozen codes with separate scales. */
  readonly affine: "not-affine" | AffineKind;
}

const noRawLayout = (): never => assertInternal(false, "the type has no raw layout") as never;

/** Members of a kind that is not in ggml. */
export const NOT_OF_GGML = { ggmlTypes: [], unpack: noRawLayout, pack: noRawLayout };

/** Counts the rows and columns of a shape; a shape with a single axis is one row. */
export function rowsAndColumns(shape: readonly number[]): { numRows: number; numColumns: number } {
  const numColumns = shape.at(-1) ?? 1;
  return { numRows: numElements(shape.slice(0, -1)), numColumns };
}

/**
 * Computes the raw bytes of one row of `numColumns` elements.
 * @throws RangeError when the columns do not fill whole blocks.
 */
export function rowBytes(storage: Storage, numColumns: number): number {
  if (numColumns % storage.blockSize !== 0) {
    throw new RangeError(
      `Cannot store a row as ${storage.name}: ${numColumns} columns, expected a multiple of ${storage.blockSize}`,
    );
  }
  return (numColumns / storage.blockSize) * storage.blockBytes;
}

/** Computes the raw bytes of a tensor. @throws RangeError when the columns do not fill whole blocks. */
export function storedBytes(storage: Storage, shape: readonly number[]): number {
  const { numRows, numColumns } = rowsAndColumns(shape);
  return numRows * rowBytes(storage, numColumns);
}

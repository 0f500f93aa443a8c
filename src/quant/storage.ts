/**
 * @file Contract of a storage kind: how a checkpoint keeps the numbers of a tensor.
 *
 * The planes are what graphs read; the raw bytes are the layout of ggml files. Whole codes of 4 bits lie two a
 * byte, the even element in the low half, as ONNX UINT4 has it.
 */
import { assertInternal } from "../errors.ts";
import { numElements } from "../graph/shape.ts";
import type { DataOf } from "../graph/dtype.ts";
import type { AffineKind } from "./affine/affine.ts";
import type { Planes } from "./planes.ts";

/** One way to keep a tensor. */
export interface Storage {
  readonly name: string;
  /** Numbers of the type in ggml files; none: the kind is not of ggml, and `pack` and `unpack` are not to be called. */
  readonly ggmlTypes: readonly number[];
  /**
   * What `general.file_type` of a GGUF file says whose matrices are mostly of this kind (llama.cpp's `llama_ftype`); absent:
   * graft rounds no model to it.
   */
  readonly ggufFileType?: number;
  /** One sentence for the documentation. */
  readonly summary: string;
  /** Elements of a row that are kept together; the width of a tensor is a multiple of it. */
  readonly blockSize: number;
  /** Bytes of one such block in the raw layout. */
  readonly blockBytes: number;
  /**
   * Splits raw bytes into planes: views of `bytes` where layout and alignment allow, else in `memory`, planes of an earlier
   * call with as many elements or more, else fresh.
   */
  unpack(bytes: Uint8Array, shape: readonly number[], memory?: Planes): Planes;
  /** Joins planes into raw bytes, the exact inverse of `unpack`; the caller owns the result. */
  pack(planes: Planes, shape: readonly number[]): Uint8Array;
  /**
   * Computes the values of the blocks from `first` to before `end`, counted over all rows, in float32, bit for bit as ggml
   * does, into memory of the caller.
   */
  dequantize(planes: Planes, first: number, end: number, into: DataOf<"float32">): void;
  /**
   * Computes the values of raw blocks, all that are there, as `unpack` and `dequantize` do, in a third of the time; absent:
   * nobody has needed that.
   */
  readonly dequantizeRaw?: (bytes: Uint8Array, into: DataOf<"float32">) => void;
  /**
   * Rounds values to planes, bit for bit as ggml's reference does; the caller owns them. "read-only": ggml's reference
   * searches, and graft writes no such tensors.
   */
  readonly quantize: "read-only" | ((values: DataOf<"float32">, shape: readonly number[]) => Planes);
  /** Whether scales are numbers that are no floats; absent: they are floats, and looked at as such. */
  readonly areScalesNumbers?: (planes: Planes) => boolean;
  /** Whether a plan may round a base to it so that a run fits; absent: it may not, as another with as many bits is nearer. */
  readonly isPlanned?: true;
  /** How planes are seen as frozen codes with scales of their own. */
  readonly affine: "not-affine" | AffineKind;
}

const noRawLayout = (): never => assertInternal(false, "the type has no raw layout") as never;

/** What a kind says that is not of ggml. */
export const NOT_OF_GGML = { ggmlTypes: [], unpack: noRawLayout, pack: noRawLayout };

/** Counts the rows and columns of a shape; one of a single axis is one row. */
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

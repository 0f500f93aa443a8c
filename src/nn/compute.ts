/**
 * @file Contract of an arithmetic: what programs read instead of the matrix of a frozen projection (its operands), and how they
 * multiply by them. How a file stores the matrix is another list (`quant/storages.ts`).
 */
import type { DType } from "../graph/dtype.ts";
import type { Value } from "../graph/graph.ts";
import type { LossAndProbabilities } from "../graph/ops/losses/linear-cross-entropy.ts";
import type { Planes } from "../quant/planes.ts";
import type { StoredTensor } from "../quant/stored-tensor.ts";
import type { StorageName } from "../quant/storages.ts";
import type { HostTensor, Tensors } from "../runtime/host-tensor.ts";
import type { SiteRole } from "./builder.ts";

/** The frozen matrix of a projection. */
export interface Matrix {
  readonly role: SiteRole;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Whether the file stores it as [in, out]. */
  readonly storedTransposed: boolean;
}

/** One tensor that programs read. */
export interface OperandSpec {
  /** Appended to the tensor's name to name the input. "": the tensor itself in float32, in the layout of the file. */
  readonly suffix: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Reads the numbers of a tensor. */
export interface TensorReader {
  /**
   * Reads it in its stored form, which must not be changed. Planes may be placed in those of `memory` that have the same name,
   * type and length.
   */
  stored(memory?: Planes): Promise<StoredTensor>;
  /** Fills the caller's memory with its values, from index `start` (default: 0) on. */
  readInto(into: Float32Array, start?: number): Promise<void>;
  /** Returns its values without a copy if they are stored as float32; they must not be changed. Null: use `readInto`. */
  view(): HostTensor<"float32"> | null;
  /**
   * Factors [in] by which the input of the product has been multiplied, so that the columns of the matrix must be divided by
   * them. Null: there are none.
   */
  smoothing(): HostTensor<"float32"> | null;
}

/** The operands that programs read for a tensor, and how they are made. */
export interface Preparation {
  readonly operands: readonly OperandSpec[];
  /** "bound": given when a program is compiled, so each layer has programs of its own; "fed": given to each run. */
  readonly binding: "fed" | "bound";
  /**
   * The name under which bound operands can be kept for later runs of graft: the same tensor of a file and the same name always
   * give the same operands. Absent: they are made each time.
   */
  readonly keptAs?: string;
  /** Makes the operands, by suffix: in memory that `memory` lends, or as views of existing memory. */
  prepare(reader: TensorReader, memory: (operand: OperandSpec) => HostTensor): Promise<Tensors>;
}

/** Operands in a graph, by suffix. */
export type OperandValues = Readonly<Record<string, Value>>;

/** A matrix in an arithmetic. */
export interface Product extends Preparation {
  /** x [..., in] to x Wᵀ [..., out], differentiable in x. */
  project(x: Value, operands: OperandValues): Value;
  /**
   * Returns W [out, in] in float32, for methods that compute with the weight itself; given some rows of 8-bit operands, those rows of W.
   */
  dense(operands: OperandValues): Value;
  /** Whether the product takes its input without smoothing factors, even if there are some. */
  readonly unsmoothed?: true;
  /** The product of x [N, in] and its loss for labels int64 [N] as one node; absent: there is no such node. */
  readonly crossEntropy?: (x: Value, operands: OperandValues, labels: Value) => LossAndProbabilities;
}

/** A way to compute products with frozen matrices. */
export interface Compute {
  readonly name: string;
  /** One sentence for the documentation. */
  readonly summary: string;
  /**
   * Returns how a matrix of this storage kind is multiplied; null: in float32. Memory is reused by suffix, so operands of one
   * suffix must have the same form for all kinds of storage.
   */
  product(matrix: Matrix, storage: StorageName): Product | null;
  /** Set if nothing is rounded to fewer bits, so that a difference in the last bit of a sum stays that small. */
  readonly isExact?: true;
  /** Replaces this arithmetic for text generation when many tokens run at once; absent: nothing does. */
  readonly many?: Pick<Compute, "product" | "smoothing" | "hasHead">;
  /**
   * Whether the output head of a vocabulary uses this arithmetic too; for a loss with gradients only if its product has `crossEntropy`.
   */
  readonly hasHead?: true;
  /** How smoothing factors are found; absent: there are none. */
  readonly smoothing?: SmoothingRule;
}

/**
 * Finds factors [in] for the input x [..., in] of projections, from x in one batch and their matrices [out, in]. Before rounding,
 * x is multiplied by the factors, and the columns of the weights are divided by them.
 */
export type SmoothingRule = (x: Value, weights: readonly Value[]) => Value;

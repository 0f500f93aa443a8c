/**
 * @file Contract of an arithmetic: what the programs of a frozen projection read instead of its matrix, and how they
 * multiply with it. How a file keeps the matrix is another list (`quant/storages.ts`).
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
  /** The file keeps it as [in, out]. */
  readonly storedTransposed: boolean;
}

/** One tensor that programs read. */
export interface OperandSpec {
  /** What follows the tensor's name in that of the input. "": the tensor itself, as files lay it out, in float32. */
  readonly suffix: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Where the numbers of a tensor come from. */
export interface TensorReader {
  /** As it is kept; not to be changed. Planes may come to lie in those of `memory` that have their name, type and length. */
  stored(memory?: Planes): Promise<StoredTensor>;
  /** Writes as many of its values as fit into memory of the caller, from that of a number on, else from the first. */
  readInto(into: Float32Array, start?: number): Promise<void>;
  /** Its values without a copy, where they are kept as float32; null: they must be read. Not to be changed. */
  view(): HostTensor<"float32"> | null;
  /**
   * Factors [in] by which what the matrix multiplies has been multiplied: its columns are divided by them. Null: there are
   * none.
   */
  smoothing(): HostTensor<"float32"> | null;
}

/** What programs read of a tensor, and how that is made. */
export interface Preparation {
  readonly operands: readonly OperandSpec[];
  /** "bound": when a program is compiled, so that each layer has programs of its own; "fed": at each run. */
  readonly binding: "fed" | "bound";
  /**
   * By what name they can be kept for later runs, of what is bound: operands of one tensor of a file and one name are always
   * the same. Absent: they are made in each run.
   */
  readonly keptAs?: string;
  /** Makes the operands, by suffix: in memory that is asked for and lent, or as views of what there is. */
  prepare(reader: TensorReader, memory: (operand: OperandSpec) => HostTensor): Promise<Tensors>;
}

/** Operands in a graph, by suffix. */
export type OperandValues = Readonly<Record<string, Value>>;

/** A matrix in an arithmetic. */
export interface Product extends Preparation {
  /** x [..., in] to x Wᵀ [..., out], differentiable in x. */
  project(x: Value, operands: OperandValues): Value;
  /** W [out, in] in float32, for methods that compute with the weight itself; of some rows of 8-bit operands, these rows. */
  dense(operands: OperandValues): Value;
  /** The product takes its input unscaled, even if there are smoothing factors. */
  readonly unsmoothed?: true;
  /** The product of x [N, in] and its loss for labels int64 [N] as one node with one gradient; absent: there is no such node. */
  readonly crossEntropy?: (x: Value, operands: OperandValues, labels: Value) => LossAndProbabilities;
}

/** A way to compute products with frozen matrices. */
export interface Compute {
  readonly name: string;
  /** One sentence for the documentation. */
  readonly summary: string;
  /**
   * A matrix of this storage kind in this arithmetic; null: it stays in float32. Memory is used again by suffix, so operands
   * of one suffix are alike for all kinds of storage.
   */
  product(matrix: Matrix, storage: StorageName): Product | null;
  /** Nothing is rounded to fewer bits, so that the last bit of a sum decides no more than itself; absent: something is. */
  readonly isExact?: true;
  /** Replaces `product` where text is written and so many tokens run at once; absent: nothing does. */
  readonly many?: Pick<Compute, "product" | "smoothing" | "hasHead">;
  /**
   * Whether the output head of a vocabulary is multiplied so as well; for a loss with gradients, where its product has a
   * cross-entropy.
   */
  readonly hasHead?: true;
  /** How factors on what matrices multiply are found; absent: there are none. */
  readonly smoothing?: SmoothingRule;
}

/**
 * Finds factors [in] for what projections read, x [..., in], before it is rounded, of what it is in one batch and of their
 * matrices [out, in]: products are given x times them, and weights divided by them.
 */
export type SmoothingRule = (x: Value, weights: readonly Value[]) => Value;

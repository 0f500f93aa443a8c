/** @file How a part of a model is built: its adapter, its arithmetic, and the programs it is for. */
import type { Matrix, Product } from "../../nn/compute.ts";
import { float32Product } from "../../nn/computes/f32.ts";
import {
  AS_IN_BASE,
  FROZEN,
  FROZEN_ROWS,
  type LookUp,
  type Projector,
  type ReadTensor,
} from "./site-graph.ts";

/** The layout of keys and values: by tokens, [B, P, K·E], or by heads, [B, K, C, E] with room for C tokens. */
type CacheOrder = "tokens" | "heads";

/** How a part is to be built. */
export interface PartOptions {
  readonly projector: Projector;
  readonly lookUp: LookUp;
  readonly readTensor: ReadTensor;
  /** The arithmetic of a frozen matrix, by its tensor's name in the part. */
  readonly product: (tensor: string, matrix: Matrix) => Product;
  /** Whether the input of a frozen matrix is smoothed, by its tensor's name in the part. */
  readonly isSmoothed: (tensor: string) => boolean;
  /** Layout of the cache of keys and values that the part reads and extends; null: there is none. */
  readonly cache: CacheOrder | null;
  /** Draws dropout. */
  readonly training: boolean;
  /** Queries of one attention chunk, and the number of chunks in T. */
  readonly chunk: { readonly length: number; readonly count: number };
  /** Branches through which no gradient flows. */
  readonly dropped: ReadonlySet<string>;
  /** Whether rows of a table are looked up by the runner of the program instead of inside it. */
  isGathered(table: string): boolean;
  /** How the head's product of x [N, D] is built. */
  readonly headProduct: HeadProduct;
}

/**
 * The head's product with all rows of its matrix; with a slice of them (symbol V); of each row of x with one row of the matrix;
 * or no product.
 */
export type HeadProduct = "whole" | "slice" | "row-by-row" | "none";

/** A part in float32, without adapter, cache and dropout. */
export const PLAIN_PART: PartOptions = {
  projector: FROZEN,
  lookUp: FROZEN_ROWS,
  readTensor: AS_IN_BASE,
  product: (_tensor, matrix) => float32Product(matrix),
  isSmoothed: () => false,
  cache: null,
  training: false,
  chunk: { length: 1, count: 1 },
  dropped: new Set(),
  isGathered: () => false,
  headProduct: "whole",
};

/** @file Tensors and sites of a model: the contents of its checkpoint, and the places for adapters. */
import type { SiteRole, StackPlace, TensorRole } from "../../nn/builder.ts";

/** One tensor of a checkpoint. */
export interface TensorSpec {
  /**
   * Path inside the block, "self_attn.q_proj.weight", or "/" and a name outside the blocks; in the lists of a whole model its
   * Hugging Face name.
   */
  readonly name: string;
  /** Shape of the tensor in files. */
  readonly shape: readonly number[];
  readonly role: TensorRole;
}

/** One tensor of a whole model. */
export interface ModelTensor extends TensorSpec {
  /** Null outside the blocks. */
  readonly layer: number | null;
  /** Its path inside the block; outside the blocks its name, or the path by which blocks read it. */
  readonly path: string;
}

/**
 * A place for adapters: a projection y = x Wᵀ + b; an embedding, whose rows are looked up; the residual stream after a block,
 * which has no weight; or a stack of the matrices of several projections.
 */
export interface SiteSpec {
  /** Path inside the block, "self_attn.q_proj"; the whole path outside the blocks. */
  readonly name: string;
  readonly kind: "linear" | "embedding" | "residual" | "stack";
  readonly role: SiteRole;
  /** Width of the input; of an embedding, the number of rows. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
  /** Whether the file stores the matrix as [in, out]. */
  readonly storedTransposed: boolean;
  /**
   * Set if the input is not in rows by text: tokens of all texts, [N, in], in any order, as for routers and experts, or a table,
   * [1, R, in].
   */
  readonly ofTokens?: true;
  /** The place of a matrix in its stack; for a stack, that of its first matrix. */
  readonly stack?: StackPlace;
}

/** Lists the stacks that the projections of a block form. */
export function stackSites(sites: readonly SiteSpec[]): readonly SiteSpec[] {
  const first = sites.filter(({ stack }) => stack?.index === 0);
  return first.map((matrix): SiteSpec => {
    const { name, role, numParts } = matrix.stack!;
    return { ...matrix, kind: "stack", name, role, outFeatures: numParts * matrix.outFeatures };
  });
}

/** The residual stream after a block, as a site. */
export function residualSite(width: number): SiteSpec {
  return {
    name: "residual",
    kind: "residual",
    role: "residual",
    inFeatures: width,
    outFeatures: width,
    bias: false,
    storedTransposed: false,
  };
}

/** @file Tensors and sites of a model: what its checkpoint holds, and where adapters may sit. */
import type { SiteRole, StackPlace, TensorRole } from "../../nn/builder.ts";

/** One tensor of a checkpoint. */
export interface TensorSpec {
  /** Path inside the block, "self_attn.q_proj.weight", or "/" and a name outside of the blocks; in the lists of a whole model its Hugging Face name. */
  readonly name: string;
  /** Shape of the tensor as files keep it. */
  readonly shape: readonly number[];
  readonly role: TensorRole;
}

/** One tensor of a whole model. */
export interface ModelTensor extends TensorSpec {
  /** Null outside the blocks. */
  readonly layer: number | null;
  /** Its path inside the block; outside the blocks, its name, or that by which blocks read it. */
  readonly path: string;
}

/**
 * One place where adapters sit: a projection y = x Wᵀ + b, an embedding, whose rows are looked up, the residual stream after
 * a block, which has no weight, or a stack, which is the matrices of several projections together.
 */
export interface SiteSpec {
  /** Path inside the block, "self_attn.q_proj"; the whole path outside the blocks. */
  readonly name: string;
  readonly kind: "linear" | "embedding" | "residual" | "stack";
  readonly role: SiteRole;
  /** Width of what is projected; of an embedding, the number of its rows. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
  /** The file keeps the matrix as [in, out]. */
  readonly storedTransposed: boolean;
  /**
   * Its inputs have no rows of texts: tokens of all texts, [N, in] in an order of their own, as a router and experts have them, or also
   * a table, [1, R, in].
   */
  readonly ofTokens?: true;
  /** The place of a matrix in its stack; of a stack, that of its first matrix. */
  readonly stack?: StackPlace;
}

/** The stacks that the projections of a block make up. */
export function stackSites(sites: readonly SiteSpec[]): readonly SiteSpec[] {
  const first = sites.filter(({ stack }) => stack?.index === 0);
  return first.map((matrix): SiteSpec => {
    const { name, role, numParts } = matrix.stack!;
    return { ...matrix, kind: "stack", name, role, outFeatures: numParts * matrix.outFeatures };
  });
}

/** The residual stream after a block, as a place inside the block. */
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

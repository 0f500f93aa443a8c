/** @file The residual branches of a model in order, each with the cost of its backward pass. */
import { UsageError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";

/** A residual branch of a block. */
export interface ModelBranch {
  readonly layer: number;
  readonly name: string;
  /** Multiplications per token in one pass. */
  readonly flops: number;
}

/** Lists the branches; `length`: how many tokens a token attends to. */
export function branchesOf(model: Model, length: number): ModelBranch[] {
  return model.layers.flatMap(({ branches }, layer) =>
    branches.map(({ name, numMultiplications, attention }) => {
      const scores = attention === null ? 0 : 2 * length * attention.numHeads * attention.headWidth;
      return { layer, name, flops: numMultiplications + scores };
    }),
  );
}

/** Names of the branches that are dropped, by block. */
export function droppedByBlock(
  { layers }: Model,
  branches: readonly ModelBranch[],
  isDropped: (index: number) => boolean,
): string[][] {
  return layers.map((_, layer) =>
    branches.flatMap((branch, i) => (branch.layer === layer && isDropped(i) ? [branch.name] : [])),
  );
}

/** The name of a branch in logs and charts. */
export function branchLabel({ layer, name }: ModelBranch): string {
  return `${layer}.${name}`;
}

/** @throws UsageError "usage/flag" when every step would drop all branches */
export function requireKeptBranch({ layers }: Model, rate: number): void {
  const numBranches = layers.reduce((sum, { branches }) => sum + branches.length, 0);
  if (Math.ceil(rate * numBranches) < numBranches || numBranches === 0) return;
  throw new UsageError(
    "usage/flag",
    `Cannot drop ${rate} of the backward pass: that would drop all ${numBranches} branches in every step, expected less`,
    { hint: `Give at most --dropbp ${Math.floor((100 * (numBranches - 1)) / numBranches) / 100}.` },
  );
}

/** @throws UsageError "usage/flag" when no trained parameter lies in a branch */
export function requireTrainedBranch({ layers }: Model, adapter: Pick<AdapterView, "trained">): void {
  if (layers.some(({ branches }, layer) => branches.length > 0 && adapter.trained(layer).length > 0)) return;
  throw new UsageError(
    "usage/flag",
    "Cannot drop branches of the backward pass: none of them has a trained parameter, expected at least one",
    { hint: "Leave --dropbp out, or train modules of the blocks." },
  );
}

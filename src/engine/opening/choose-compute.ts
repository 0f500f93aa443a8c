/**
 * @file Chooses the arithmetic in which a model writes text where the user names none: that of its codes, if its file has
 * weights of few bits.
 */
import { findNamed } from "../../messages/find-named.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Compute } from "../../nn/compute.ts";
import { COMPUTES, type ComputeName } from "../../nn/computes.ts";
import { direct } from "../../nn/computes/direct.ts";
import { f32 } from "../../nn/computes/f32.ts";
import { blockFormOf } from "../../quant/uniform-blocks.ts";

/** Chosen by how the base is kept. */
export const AUTO_COMPUTE = "auto";
export type ComputeChoice = ComputeName | typeof AUTO_COMPUTE;

/** The arithmetic of a choice on a base. @throws UsageError "usage/flag" for one that there is not */
export function chooseCompute(choice: ComputeChoice, { model, source }: BaseModel): Compute {
  if (choice !== AUTO_COMPUTE) return findNamed("compute", Object.values(COMPUTES), choice);
  // Classes are read in one pass, in which codes save little, and told as `graft classify` tells them.
  if (model.classPosition !== null) return f32;
  const isInBlocks = model.layers.some(({ sites }, layer) =>
    sites.some(
      ({ name }) => blockFormOf(source.storageOf(`${model.blockPrefix(layer)}${name}.weight`)) !== null,
    ),
  );
  return isInBlocks ? direct : f32;
}

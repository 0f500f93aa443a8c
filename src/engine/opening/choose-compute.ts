/**
 * @file Chooses the arithmetic in which a model writes text if the user names none: directly on its codes, if its file has
 * weights in few bits.
 */
import { findNamed } from "../../messages/find-named.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Compute } from "../../nn/compute.ts";
import { COMPUTES, type ComputeName } from "../../nn/computes.ts";
import { direct } from "../../nn/computes/direct.ts";
import { f32 } from "../../nn/computes/f32.ts";
import { blockFormOf } from "../../quant/uniform-blocks.ts";

/** Lets the storage of the base decide. */
export const AUTO_COMPUTE = "auto";
export type ComputeChoice = ComputeName | typeof AUTO_COMPUTE;

/** Resolves a choice for a base. @throws UsageError "usage/flag" for an unknown one */
export function chooseCompute(choice: ComputeChoice, { model, source }: BaseModel): Compute {
  if (choice !== AUTO_COMPUTE) return findNamed("compute", Object.values(COMPUTES), choice);
  // Classes are read in one pass, where codes save little, and computed as `graft classify` computes them.
  if (model.classPosition !== null) return f32;
  const isInBlocks = model.layers.some(({ sites }, layer) =>
    sites.some(
      ({ name }) => blockFormOf(source.storageOf(`${model.blockPrefix(layer)}${name}.weight`)) !== null,
    ),
  );
  return isInBlocks ? direct : f32;
}

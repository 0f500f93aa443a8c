/** @file How the forward passes of trainings share the machine with texts. */
import { UsageError } from "../../errors.ts";
import { f32 } from "../../nn/computes/f32.ts";
import type { Session } from "../../run/session.ts";

/**
 * How a training shares the model with texts: they take turns block by block ("slices"), or run as one batch ("flat"), as in
 * Loquetier.
 */
export const CO_TRAININGS = ["slices", "flat"] as const;
export type CoTraining = (typeof CO_TRAININGS)[number];

/** Checks that texts and trainings have the arithmetic for one batch. @throws UsageError "usage/flag" */
export function requireOneBatch(texts: Session, trainings: Session): void {
  if (texts === trainings && texts.compute === f32) return;
  const [ofTexts, ofTrainings] = [texts.compute.name, trainings.compute.name];
  throw new UsageError(
    "usage/flag",
    `Cannot run trainings and texts as one batch: texts are in ${ofTexts} and trainings in ${ofTrainings}, expected ${f32.name} for both`,
    { hint: `Give --compute ${f32.name} and --train-compute ${f32.name}, or --co-training slices.` },
  );
}

/** @file One step of an objective through a whole model, for tests. */
import type { TrainingUnit } from "../../src/data/examples/training-unit.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import type { Session } from "../../src/run/session.ts";
import { mismatchedBatches, unitsToBatch } from "../../src/train/step/micro-batch.ts";
import type { Scores } from "../../src/train/objective.ts";
import { type ChosenObjective, type StepOutcome, runStep } from "../../src/train/step/objective-step.ts";
import { Scorer } from "../../src/train/step/scorer.ts";
import { findObjective } from "../../src/train/objectives.ts";
import { countStep, estimateDivergence } from "../../src/train/step/sequence-scores.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";

const MAX_LENGTH = 64;

/** An objective with its defaults but for some options. */
export function choose(name: string, options: Readonly<Record<string, unknown>> = {}): ChosenObjective {
  const objective = findObjective(name);
  return { objective, options: objective.options.parse(options) };
}

/** Loss, metrics and the gradient of every parameter by its name; the parameters stay. */
export async function objectiveStep(
  session: Session,
  adapter: Adapter,
  chosen: ChosenObjective,
  ofMicroBatches: readonly (readonly TrainingUnit[])[],
  recompute = false,
): Promise<StepOutcome & { readonly gradients: ReadonlyMap<string, Float32Array> }> {
  const steps = await StepRunner.create({ session, adapter, recompute, seed: 0 });
  const scorer = await Scorer.create(session, { adapter, reference: null }, chosen.objective);
  const microBatches = ofMicroBatches.map((units) => ({ units, batch: unitsToBatch(units) }));
  const outcome = await runStep([{ steps, scorer }], chosen, {
    step: 0,
    microBatches,
    maxLength: MAX_LENGTH,
  });
  steps.gradients.finish();
  const gradients = new Map<string, Float32Array>();
  for (const { group, values } of steps.gradients.groups) {
    for (const { name, offset, length } of group.parameters)
      gradients.set(name, await values.read(offset, offset + length));
  }
  await steps.release();
  return { ...outcome, gradients };
}

/**
 * A loss that can be asked again while parameters move. What has no gradient by definition, how far the model has come from
 * its reference, stays as it is now.
 */
export async function lossOf(
  session: Session,
  adapter: Adapter,
  { objective, options }: ChosenObjective,
  units: readonly TrainingUnit[],
): Promise<() => Promise<number>> {
  const scorer = await Scorer.create(session, { adapter, reference: null }, objective);
  const batch = unitsToBatch(units);
  const others: Scores[] = [];
  if (objective.needs.includes("mismatched"))
    for (const other of mismatchedBatches([units], MAX_LENGTH)) others.push(await scorer.scores(other));
  const totals = { ...countStep([batch]), divergence: estimateDivergence(others) };
  return async () => objective.evaluate(await scorer.scores(batch), totals, options).loss;
}

/**
 * @file The diagonal of the empirical Fisher information of an adapter's trained parameters, which says how much each number matters:
 *
 *   F = mean over examples of (∂ Σ_t w_t log p(y_t | …) / ∂θ)²     y: the labels of the data
 *
 * Paper: "Merging Models with Fisher-Weighted Averaging", arXiv:2111.09832, section 3.1; there labels are drawn from the
 * model. Each pass has one example: the square of a sum of gradients is not the sum of their squares.
 */
import { z } from "zod";
import { type TrainingUnit, UNIT_LIST } from "../data/examples/training-unit.ts";
import { UsageError } from "../errors.ts";
import { A_FUNCTION, checkArguments, lazily } from "../messages/arguments.ts";
import { type Adapter, AN_ADAPTER } from "../peft/attach.ts";
import { requireOwnBase } from "../peft/own-base.ts";
import type { Parameter } from "../peft/parameters.ts";
import type { GradientGroup } from "../run/gradients/gradient-buffer.ts";
import { A_SESSION, type Session } from "../run/session.ts";
import { requireReadable } from "./loop/readable.ts";
import { layUnits } from "./step/micro-batch.ts";
import { StepRunner } from "./step/step-runner.ts";

const ARGUMENTS = lazily(() =>
  z.strictObject({ session: A_SESSION, adapter: AN_ADAPTER, units: UNIT_LIST, onProgress: A_FUNCTION }),
);

/**
 * Estimates it on examples, without dropout. Returns the numbers of each parameter in parameter order, in new memory. `onProgress` is
 * called with the number of examples done.
 * @throws UsageError "usage/data" when there is no example; otherwise as `Evaluator.evaluate`
 */
export async function estimateFisher(
  session: Session,
  adapter: Adapter,
  units: readonly TrainingUnit[],
  onProgress: (numDone: number) => void = () => {},
): Promise<ReadonlyMap<Parameter, Float32Array>> {
  checkArguments("estimateFisher", ARGUMENTS, { session, adapter, units, onProgress });
  if (units.length === 0) {
    throw new UsageError(
      "usage/data",
      "Cannot estimate Fisher information: no example, expected one or more",
      { hint: "Give the data that the adapter was trained on." },
    );
  }
  requireReadable(units, session.model);
  await requireOwnBase(session.base, [adapter]);
  const steps = await StepRunner.create({ session, adapter, recompute: false, seed: null });
  const sums = steps.gradients.groups.map(({ values }) => new Float32Array(values.length));
  try {
    for (const [index, unit] of units.entries()) {
      const batch = layUnits([unit]);
      steps.gradients.begin();
      await steps.accumulate(batch, batch.weights, { step: 0, micro: index });
      steps.gradients.finish();
      for (const [g, gradients] of steps.gradients.groups.entries())
        await addSquares(gradients, units.length, sums[g] as Float32Array);
      onProgress(index + 1);
    }
  } finally {
    await steps.release();
  }
  return new Map(
    steps.gradients.groups.flatMap(({ group }, g) =>
      group.parameters.map((parameter) => {
        const { offset, length } = parameter;
        return [parameter, (sums[g] as Float32Array).subarray(offset, offset + length)] as const;
      }),
    ),
  );
}

/** Adds the squares of the gradients that are present, divided by the number of examples. */
async function addSquares(
  { group, values: parts, present }: GradientGroup,
  numExamples: number,
  sum: Float32Array,
): Promise<void> {
  const values = await parts.read();
  for (const [p, { offset, length }] of group.parameters.entries()) {
    if (!present[p]) continue;
    for (let i = offset; i < offset + length; i++) sum[i] = sum[i]! + values[i]! ** 2 / numExamples;
  }
}

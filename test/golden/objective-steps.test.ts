/**
 * @file Objectives through a whole model with an adapter of peft, against PyTorch: log-probabilities, loss, metrics and the
 * gradient of every tensor of the adapter, however the step is cut; and against central differences.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { TrainingUnit } from "../../src/data/examples/training-unit.ts";
import { loadModel, readAdapter } from "../../src/format/by-path.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { mismatchedBatches, unitsToBatch } from "../../src/train/step/micro-batch.ts";
import type { Scores } from "../../src/train/objective.ts";
import { Scorer } from "../../src/train/step/scorer.ts";
import { choose, lossOf, objectiveStep } from "./objective-passes.ts";
import { randomExamples } from "../passes/model-passes.ts";
import { assertSlopes } from "../reference/slopes.ts";
import { assertNear, assertRelative, goldenPath, goldenTensors, relativeDifference } from "./golden-files.ts";
import { type GoldenSequence, OBJECTIVE_CASES, comparisonsOf } from "./golden-objectives.ts";

const { base, checkpoint } = await loadModel(goldenPath("models", "llama"));
const { adapter } = await readAdapter(goldenPath("objectives", "adapter"), base);
const session = new Session(createEngine({ threads: 1 }), base);
const tensors = await goldenTensors("objectives", "golden.safetensors");
after(async () => {
  await session.release();
  await checkpoint.close();
});

/** Log-probabilities of golden sequences, one after another, out of those of a batch in whatever order. */
function inOrder(scores: Scores, values: Float32Array, sequences: readonly GoldenSequence[]): number[] {
  return sequences.flatMap(({ role, group }) => {
    const index = scores.sequences.findIndex((one) => one.role === role && one.group === group);
    return [...values].filter((_, i) => scores.sequenceOf[i] === index);
  });
}

function assertAllNear(actual: readonly number[], expected: readonly number[], what: string): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => assertNear(value, expected[i]!, 2e-5, `${what} ${i}`));
}

for (const [name, golden] of Object.entries(OBJECTIVE_CASES)) {
  const { objective, options, sequences } = golden;
  if (!sequences) continue;
  const units = comparisonsOf(sequences);
  const chosen = choose(objective, options);

  describe(`a step of ${name}`, () => {
    test("its log-probabilities are PyTorch's, with and without the adapter", async () => {
      const scorer = await Scorer.create(
        session,
        { adapter, reference: null },
        {
          ...chosen.objective,
          needs: ["reference"],
        },
      );
      const scores = await scorer.scores(unitsToBatch(units));
      assertAllNear(inOrder(scores, scores.logProbs, sequences), golden.logProbs, "log-probability");
      assertAllNear(inOrder(scores, scores.reference!, sequences), golden.reference!, "reference");
      const others = golden.mismatched ?? [];
      if (others.length === 0) return;
      const [batch] = mismatchedBatches([units], 64);
      const mismatched = await scorer.scores(batch!);
      assertAllNear(
        inOrder(mismatched, mismatched.logProbs, others),
        golden.mismatchedLogProbs!,
        "mismatched",
      );
      assertAllNear(
        inOrder(mismatched, mismatched.reference!, others),
        golden.mismatchedReference!,
        "mismatched",
      );
    });

    const half = units.length >> 1;
    for (const [how, microBatches, recompute] of [
      ["at once", [units], false],
      ["at once, activations computed again", [units], true],
      ["in two parts of unlike size", [units.slice(0, 1), units.slice(1)], false],
      ["in halves, activations computed again", [units.slice(0, half), units.slice(half)], true],
      ["one by one", units.map((unit) => [unit]), false],
    ] as const) {
      test(`its loss, metrics and gradients are PyTorch's, ${how}`, async () => {
        const step = await objectiveStep(session, adapter, chosen, microBatches, recompute);
        assertNear(step.loss, golden.loss, 1e-5, "loss");
        assert.deepEqual(Object.keys(step.metrics).sort(), Object.keys(golden.metrics!).sort());
        for (const [key, value] of Object.entries(golden.metrics!))
          assertNear(step.metrics[key]!, value, 5e-5, key);
        const prefix = `${name}.base_model.model.`;
        const expected = [...tensors].filter(([key]) => key.startsWith(prefix));
        assert.equal(expected.length, adapter.parameters.length);
        for (const [key, gradient] of expected) {
          assertRelative(step.gradients.get(key.slice(prefix.length))!, gradient, 1e-4, key);
        }
      });
    }

    test("its loss changes along the gradient of each parameter", async () => {
      const { gradients } = await objectiveStep(session, adapter, chosen, [units]);
      await assertSlopes(adapter.parameters, gradients, await lossOf(session, adapter, chosen, units), 0.03);
    });
  });
}

test("weighted cross-entropy: the loss changes along the gradient of each parameter, also in parts", async () => {
  const plain = randomExamples([9, 5, 7]).map((example) => ({
    ...example,
    ids: example.ids.map((id) => id % 96),
  }));
  const factors = [0.25, 1, 3];
  const units: TrainingUnit[] = plain.map((example, i) => ({
    ...example,
    weights: example.weights.map((weight) => weight * factors[i]!),
  }));
  const chosen = choose("cross-entropy");
  const whole = await objectiveStep(session, adapter, chosen, [units]);
  await assertSlopes(
    adapter.parameters,
    whole.gradients,
    await lossOf(session, adapter, chosen, units),
    0.03,
  );
  const parts = await objectiveStep(session, adapter, chosen, [units.slice(0, 2), units.slice(2)]);
  assertNear(parts.loss, whole.loss, 1e-6, "loss");
  for (const [name, gradient] of whole.gradients)
    assert.ok(relativeDifference(parts.gradients.get(name)!, gradient) < 1e-5, name);
  const unweighted = await objectiveStep(session, adapter, chosen, [plain]);
  assert.ok(Math.abs(unweighted.loss - whole.loss) > 1e-3, "weights change nothing");
});

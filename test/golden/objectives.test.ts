/** @file Objectives against PyTorch's derivatives of the papers' formulas, which TRL's trainers agree with. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Scores } from "../../src/train/objective.ts";
import { findObjective } from "../../src/train/objectives.ts";
import { countStep, estimateDivergence } from "../../src/train/step/sequence-scores.ts";
import { assertNear } from "./golden-files.ts";
import { type GoldenSequence, OBJECTIVE_CASES } from "./golden-objectives.ts";

/** Scores of sequences whose completions carry the labels. */
function scoresOf(
  sequences: readonly GoldenSequence[],
  logProbs: readonly number[],
  reference: readonly number[] | undefined,
  weights: readonly number[] = logProbs.map(() => 1),
): Scores {
  return {
    sequences,
    sequenceOf: Int32Array.from(
      sequences.flatMap(({ ids, promptLength }, i) => ids.slice(promptLength).map(() => i)),
    ),
    weights: Float32Array.from(weights),
    logProbs: Float32Array.from(logProbs),
    reference: reference === undefined ? null : Float32Array.from(reference),
  };
}

describe("objectives give the loss, gradient and metrics of the reference", () => {
  for (const [name, golden] of Object.entries(OBJECTIVE_CASES)) {
    test(name, () => {
      const { logProbs } = golden;
      // Without sequences each label is one of its own.
      const sequences =
        golden.sequences ??
        logProbs.map((_, group) => ({ ids: [0, 1], promptLength: 1, role: "target" as const, group }));
      const scores = scoresOf(sequences, logProbs, golden.reference, golden.weights);
      const others = golden.mismatched ?? [];
      const divergence = estimateDivergence(
        others.length === 0
          ? []
          : [scoresOf(others, golden.mismatchedLogProbs ?? [], golden.mismatchedReference)],
      );
      const objective = findObjective(golden.objective);
      const totals = { ...countStep([scores]), divergence };
      const { loss, gradient, metrics } = objective.evaluate(
        scores,
        totals,
        objective.options.parse(golden.options),
      );
      assertNear(loss, golden.loss, 1e-6, "loss");
      assert.equal(gradient.length, golden.gradient.length);
      golden.gradient.forEach((value, i) => assertNear(gradient[i]!, value, 1e-6, `gradient ${i}`));
      assert.deepEqual(Object.keys(metrics).sort(), Object.keys(golden.metrics ?? {}).sort());
      for (const [key, value] of Object.entries(golden.metrics ?? {})) {
        assertNear(metrics[key]!, value, 1e-5, key);
      }
    });
  }
});

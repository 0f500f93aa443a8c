/** @file Losses of outputs with numbers of their own, in float64: their values, and gradients by central differences. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../../graph/autodiff.ts";
import { Graph } from "../../graph/graph.ts";
import { evaluate } from "../../../test/reference/evaluator.ts";
import { targetLoss } from "./target-loss.ts";

const SHAPE = [2, 3] as const;
const LOGITS = [0.5, -1.25, 3, 0, 700, -700];
const TARGETS = [1, 0, 0.25, 1, 0, 0];

/** What PyTorch's formulas give for one output. */
const FORMULAS = {
  regression: (z: number, t: number): number => (z - t) ** 2,
  multi_label_classification: (z: number, t: number): number =>
    Math.max(z, 0) - z * t + Math.log1p(Math.exp(-Math.abs(z))),
};

for (const problem of Object.keys(FORMULAS) as (keyof typeof FORMULAS)[]) {
  describe(problem, () => {
    const graph = new Graph();
    const z = graph.input("z", "float32", ["N", 3]);
    const targets = graph.input("targets", "float32", ["N", 3]);
    const seed = graph.input("seed", "float32", ["N", 1]);
    const loss = targetLoss(problem, z, targets);
    const [dz] = gradients([{ value: loss, gradient: seed }], [z]);
    const spec = { name: problem, inputs: { z, targets, seed }, outputs: { loss, dz: dz! } };
    const run = (logits: readonly number[]) =>
      evaluate(
        spec,
        {
          z: { shape: SHAPE, data: Float64Array.from(logits) },
          targets: { shape: SHAPE, data: Float64Array.from(TARGETS) },
          seed: { shape: [2, 1], data: Float64Array.of(1, 1) },
        },
        { N: 2 },
      );

    test("is the mean over the outputs, however large they are", () => {
      const { data } = run(LOGITS)["loss"]!;
      for (const row of [0, 1]) {
        const own = [0, 1, 2].map((i) => FORMULAS[problem](LOGITS[3 * row + i]!, TARGETS[3 * row + i]!));
        const expected = own.reduce((sum, value) => sum + value, 0) / 3;
        assert.ok(
          Math.abs(data[row]! - expected) <= 1e-12 * Math.max(1, expected),
          `${data[row]}, ${expected}`,
        );
      }
    });

    test("its gradient is that of its values", () => {
      const found = run(LOGITS)["dz"]!.data;
      const sumAt = (i: number, by: number): number =>
        run(LOGITS.with(i, LOGITS[i]! + by))["loss"]!.data.reduce((sum, value) => sum + value, 0);
      for (const i of LOGITS.keys()) {
        const difference = (sumAt(i, 1e-4) - sumAt(i, -1e-4)) / 2e-4;
        assert.ok(
          Math.abs(difference - found[i]!) < 1e-6 * Math.max(1, Math.abs(difference)),
          `${i}: ${found[i]}, ${difference}`,
        );
      }
    });
  });
}

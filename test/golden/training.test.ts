/** @file Ten training steps against transformers and peft: loss, gradient norm, what is left at the end; accumulation. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readAdapter } from "../../src/format/by-path.ts";
import { findSchedule } from "../../src/optim/schedules.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, batchFromRows, lossAndGradients, openTraining } from "../passes/model-passes.ts";
import {
  type GoldenBatch,
  assertNear,
  assertRelative,
  goldenJson,
  goldenPath,
  goldenTensors,
  relativeNorm,
} from "./golden-files.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const PREFIX = "base_model.model.";
const engine = createEngine({ threads: 1 });
const { base } = await openUntilEnd(goldenPath("models", "llama"));

interface Curve {
  readonly settings: { steps: number; lr: number; weight_decay: number; clip: number; warmup: number };
  readonly steps: readonly { loss: number; grad_norm: number; lr: number }[];
  readonly loss_on_batch_0_after_training: number;
}

describe("ten steps of training", () => {
  for (const name of ["lora", "ia3", "road_1", "full"]) {
    test(`${name}: losses, gradient norms and result are those of peft`, async () => {
      const golden = goldenJson<Curve>("training", name, "golden.json");
      const { steps: totalSteps, lr, weight_decay: weightDecay, clip, warmup } = golden.settings;
      const adapter =
        name === "full"
          ? await attachTo(base, findMethod("full"))
          : (await readAdapter(goldenPath("training", name, "initial"), base)).adapter;
      const batches = goldenJson<GoldenBatch[]>("training", "batches.json").map(batchFromRows);
      const training = await openTraining(engine, base, adapter);
      assert.equal(golden.steps.length, totalSteps);
      for (const [index, expected] of golden.steps.entries()) {
        const learningRate = lr * findSchedule("cosine").factor(index, totalSteps, warmup);
        assertNear(learningRate, expected.lr, 1e-9, `learning rate of step ${index}`);
        const batch = batches[index % batches.length]!;
        const how = { learningRate, weightDecay, maxNorm: clip };
        const { loss, norm } = await training.step([batch], index, how);
        assertNear(loss, expected.loss, 2e-5, `loss of step ${index}`);
        assertNear(norm / expected.grad_norm, 1, 1e-4, `gradient norm of step ${index}`);
      }
      const { loss } = await lossAndGradients(engine, base, adapter, batches.slice(0, 1));
      assertNear(loss, golden.loss_on_batch_0_after_training, 2e-5, "loss after training");
      const file = name === "full" ? "model.safetensors" : "adapter_model.safetensors";
      const final = await goldenTensors("training", name, "final", file);
      const joined = adapter.parameters.map((p) => final.get(name === "full" ? p.name : PREFIX + p.name)!);
      assert.equal(final.size, joined.length);
      const difference = relativeNorm(
        valuesOf(adapter),
        Float32Array.from(joined.flatMap((values) => [...values])),
      );
      assert.ok(difference <= 1e-3, `result is ${difference} apart`);
    });
  }

  test("gradients of micro-batches weigh tokens, not batches", async () => {
    const golden = goldenJson<{ micro_batches: GoldenBatch[]; loss: number; grad_norm: number }>(
      "training",
      "accumulation",
      "golden.json",
    );
    const { adapter } = await readAdapter(goldenPath("methods", "lora", "adapter"), base);
    const batches = golden.micro_batches.map(batchFromRows);
    const { loss, gradients } = await lossAndGradients(engine, base, adapter, batches);
    assertNear(loss, golden.loss, 5e-6, "loss");
    const expected = await goldenTensors("training", "accumulation", "golden.safetensors");
    assert.equal(expected.size, gradients.size);
    for (const [name, gradient] of gradients) {
      assertRelative(gradient, expected.get(`grad.${PREFIX}${name}`)!, 1e-4, `gradient of ${name}`);
    }
    const training = await openTraining(engine, base, adapter);
    const { norm } = await training.step(batches, 0, { learningRate: 0.01, weightDecay: 0.01 });
    assertNear(norm / golden.grad_norm, 1, 1e-4, "gradient norm");
    const after = await readAdapter(goldenPath("training", "accumulation", "after_one_step"), base);
    const difference = relativeNorm(valuesOf(adapter), valuesOf(after.adapter));
    assert.ok(difference <= 1e-3, `result is ${difference} apart`);
  });
});

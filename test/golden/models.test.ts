/** @file Tiny Llama models against transformers: logits, loss, the gradient of every parameter. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../src/format/checkpoint/load-model.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { createOrtEngine } from "../../src/runtime/ort-node.ts";
import { attachTo, batchFromRows, logitsOf, lossAndGradients } from "../model-passes.ts";
import { temporaryFolder } from "../tiny-model.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertNear,
  goldenJson,
  goldenPath,
  goldenTensors,
  relativeDifference,
} from "./golden-files.ts";

const engine = createOrtEngine({ threads: 1 });

interface ModelGolden {
  readonly batch: GoldenBatch;
  readonly loss: number;
}

for (const name of ["llama", "llama-scaled"]) {
  describe(`model ${name}`, async () => {
    const { base } = await loadForTests(goldenPath("models", name));
    const golden = goldenJson<ModelGolden>("models", name, "golden.json");
    const tensors = await goldenTensors("models", name, "golden.safetensors");
    const batch = batchFromRows(golden.batch);

    test("its logits are those of transformers", async () => {
      const logits = await logitsOf(engine, base, null, batch);
      assertLogits(logits, tensors.get("logits") as Float32Array, golden.batch.attention_mask, 5e-5);
    });

    for (const recompute of [false, true]) {
      test(`its loss and every gradient are those of transformers, activations ${recompute ? "computed again" : "kept"}`, async () => {
        const adapter = await attachTo(base, findMethod("full"));
        const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch], { recompute });
        assertNear(loss, golden.loss, 5e-6, "loss");
        const expected = [...tensors].filter(([key]) => key.startsWith("grad."));
        assert.deepEqual(
          [...gradients.keys()].sort(),
          expected.map(([key]) => key.slice("grad.".length)).sort(),
        );
        for (const [key, gradient] of expected) {
          const own = gradients.get(key.slice("grad.".length)) as Float32Array;
          const difference = relativeDifference(own, gradient);
          assert.ok(difference <= 1e-4, `${key} is ${difference} apart`);
        }
      });
    }

    test("config.json of transformers 4 means the same", async () => {
      const folder = temporaryFolder();
      copyFileSync(goldenPath("models", name, "config.v4.json"), join(folder, "config.json"));
      copyFileSync(goldenPath("models", name, "model.safetensors"), join(folder, "model.safetensors"));
      const { base: older } = await loadForTests(folder);
      assert.deepEqual(older.config, base.config);
    });
  });
}

/** Loads a model whose file is closed when all tests are done. */
async function loadForTests(path: string): ReturnType<typeof loadModel> {
  const loaded = await loadModel(path);
  after(() => loaded.checkpoint.close());
  return loaded;
}

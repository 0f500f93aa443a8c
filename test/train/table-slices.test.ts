/** @file The gradient of a trained table that is embedding and head: made in slices, the same, and never in memory as a whole. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeExample } from "../../src/data/examples/example.ts";
import { attach } from "../../src/peft/attach.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { Random } from "../../src/random.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { ShardMemory } from "../../src/runtime/memory/shard-memory.ts";
import { smallestBudget } from "../../src/train/plan/resident-budget.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { accumulateLoss, lossAndGradients, unpacked } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const VOCAB = 8000;
const WIDTH = 128;
const TABLE_BYTES = VOCAB * WIDTH * 4;
const folder = temporaryFolder();
const engine = createEngine({ threads: 1 });
const FULL = {
  method: findMethod("full"),
  options: {},
};

describe("gradients of a large table", () => {
  for (const tied of [true, false]) {
    test(`${tied ? "tied" : "untied"}: slices of any size give the same bits, within a small budget too`, async () => {
      const config = {
        vocab_size: VOCAB,
        hidden_size: WIDTH,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        intermediate_size: 64,
        tie_word_embeddings: tied,
      };
      const path = await writeTinyModel(`${folder}/model-${String(tied)}`, { config });
      const { base } = await openUntilEnd(path);
      // Two micro-batches, so that slices are added to; a token comes several times.
      const random = new Random(1);
      const drawn = Array.from({ length: 6 }, () => random.integer(VOCAB));
      const batches = [0, 1].map((line) => {
        const ids = [...drawn.slice(line), ...drawn.slice(2)];
        return unpacked([makeExample(ids, (at) => at > 1, { file: "drawn", line: line + 1 })]);
      });
      const whole = await lossAndGradients(engine, base, await attach(base, FULL, new Random(1)), batches, {
        sliceRows: VOCAB,
      });

      const numbers = [...base.model.tensors.values()];
      const { sizeBytes } = smallestBudget({
        model: base.model,
        trained: numbers,
        waits: true,
        hasPlainPasses: false,
        numSlots: 0,
        outsideBytes: 0,
        storedBytes: 0,
        residency: "stored",
      });
      assert.ok(!tied || sizeBytes < 1.9 * TABLE_BYTES, `${sizeBytes}`);
      const files = new Map<number, Uint8Array>();
      const memory = new ShardMemory(sizeBytes, {
        write: async (index, bytes) => void files.set(index, bytes.slice()),
        read: async (index, into) => into.set(files.get(index)!),
      });
      const adapter = await attach(base, FULL, new Random(1), memory);
      const session = new Session(engine, base, "stored", { sliceRows: 500, memory });
      const steps = await StepRunner.create({ session, adapter, recompute: true, seed: null });
      const numLabels = batches.reduce((sum, batch) => sum + batch.numLabels, 0);
      let loss = 0;
      for (const [micro, batch] of batches.entries())
        loss += await accumulateLoss(steps, batch, 1 / numLabels, 0, micro);
      assert.deepEqual(steps.gradients.finish(), []);
      assert.equal(loss / numLabels, whole.loss);
      for (const { group, values } of steps.gradients.groups) {
        for (const { name, offset, length } of group.parameters)
          assert.deepEqual(await values.read(offset, offset + length), whole.gradients.get(name), name);
      }
      // Neither the gradient of one micro-batch nor the sum of two has memory of the size of the table.
      assert.ok(session.pool.allocatedBytes < TABLE_BYTES / 4, `${session.pool.allocatedBytes} bytes lent`);
      await steps.release();
      await session.release();
    });
  }
});

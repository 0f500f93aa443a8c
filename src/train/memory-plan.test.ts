import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openModel } from "../models/families.ts";
import { type MemoryRequest, planMemory } from "./memory-plan.ts";

const MODEL = openModel({
  model_type: "llama",
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  tie_word_embeddings: true,
});

const REQUEST: MemoryRequest = {
  model: MODEL,
  storedBytes: 98e6,
  weights: "stored",
  batchTokens: 1024,
  rowTokens: 256,
  trainsHead: false,
  numTrainable: 2.4e6,
  numSlots: 2,
  gradientCheckpointing: "auto",
  availableBytes: 8e9,
};

describe("planMemory()", () => {
  test("adds up what it lists, and grows with everything that it is asked for", () => {
    const plan = planMemory(REQUEST);
    const { weightsBytes, stemAndHeadBytes, activationsBytes, trainableBytes, scratchBytes } = plan;
    const listed = weightsBytes + stemAndHeadBytes + activationsBytes + trainableBytes + scratchBytes;
    assert.ok(plan.totalBytes > listed && plan.totalBytes < listed + 500e6);
    for (const more of [
      { storedBytes: 200e6 },
      { weights: "float32" as const },
      { batchTokens: 2048 },
      { numTrainable: 20e6 },
      { numSlots: 3 },
    ]) {
      assert.ok(planMemory({ ...REQUEST, ...more }).totalBytes > plan.totalBytes, Object.keys(more).join());
    }
  });

  test("keeps activations when they fit, and computes them again when only that fits", () => {
    const whole = planMemory({ ...REQUEST, gradientCheckpointing: "off" });
    const saving = planMemory({ ...REQUEST, gradientCheckpointing: "on" });
    assert.ok(!whole.recompute && saving.recompute);
    assert.ok(saving.totalBytes < whole.totalBytes);
    assert.equal(planMemory({ ...REQUEST, availableBytes: whole.totalBytes * 1.5 }).recompute, false);
    assert.equal(planMemory({ ...REQUEST, availableBytes: whole.totalBytes * 0.99 }).recompute, true);
  });

  test("refuses a plan that does not fit, with both numbers and what to change", () => {
    const { totalBytes } = planMemory({ ...REQUEST, gradientCheckpointing: "on" });
    const tight = { ...REQUEST, availableBytes: totalBytes - 1 };
    assert.throws(() => planMemory(tight), {
      code: "capacity/memory",
      message: /^Cannot train with this plan: it needs about [\d,]+ MB, [\d,]+ MB is free$/,
      hint: /smaller batch size or max length/,
    });
    const off = { ...REQUEST, gradientCheckpointing: "off" as const, availableBytes: totalBytes };
    assert.throws(() => planMemory(off), { code: "capacity/memory", hint: /gradient checkpointing on/ });
  });
});

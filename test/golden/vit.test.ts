/** @file A tiny Vision Transformer against transformers: logits, loss, the gradient of every parameter. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Batch, NO_LABEL } from "../../src/data/batches/batch.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, logitsOf, lossAndGradients } from "../passes/model-passes.ts";
import { assertNear, goldenJson, goldenPath, goldenTensors, relativeDifference } from "./golden-files.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = createEngine({ threads: 1 });
/** Gradients that are zero but for rounding: the softmax takes out what a bias of the keys adds. */
const VANISHING = /attention\.key\.bias$/;

describe("model vit", async () => {
  const { base } = await openUntilEnd(goldenPath("vit"));
  const golden = goldenJson<{ labels: number[]; loss: number }>("vit", "golden.json");
  const tensors = await goldenTensors("vit", "golden.safetensors");
  const batch = batchOf(tensors.get("pixels")!, golden.labels);

  /** Pixels as they are, which pass by the bytes of images. */
  function batchOf(pixels: Float32Array, classes: readonly number[]): Batch {
    const { image, maxPositions: length } = base.model;
    const numRows = classes.length;
    const labels = new Int32Array(numRows * length).fill(NO_LABEL);
    classes.forEach((label, row) => (labels[row * length] = label));
    return {
      numRows,
      length,
      input: hostTensor("float32", [numRows, image!.channels, image!.size, image!.size], pixels),
      positions: new BigInt64Array(numRows * length),
      segments: new Int32Array(numRows * length).fill(1),
      tokenTypes: null,
      labels,
      targets: null,
      numTokens: numRows * length,
      numLabels: numRows,
      weights: new Float32Array(numRows).fill(1),
      sequenceOf: Int32Array.from(classes, (_, row) => row),
      sequences: classes.map((_, group) => ({ role: "target", group })),
    };
  }

  test("its logits are those of transformers", async () => {
    const { numOutputs, maxPositions } = base.model;
    const logits = await logitsOf(engine, base, null, batch);
    const expected = tensors.get("logits")!;
    assert.equal(expected.length, golden.labels.length * numOutputs);
    for (const [row] of golden.labels.entries()) {
      const from = row * maxPositions * numOutputs;
      const own = logits.subarray(from, from + numOutputs);
      const difference = relativeDifference(own, expected.subarray(row * numOutputs, (row + 1) * numOutputs));
      assert.ok(difference <= 1e-5, `row ${row} is ${difference} apart`);
    }
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
        const own = gradients.get(key.slice("grad.".length))!;
        if (VANISHING.test(key)) {
          assert.ok(
            own.every((value) => Math.abs(value) < 1e-6),
            key,
          );
          continue;
        }
        const difference = relativeDifference(own, gradient);
        assert.ok(difference <= 1e-4, `${key} is ${difference} apart`);
      }
    });
  }
});

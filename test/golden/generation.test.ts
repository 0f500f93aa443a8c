/** @file Greedy generation of tiny Llama models against transformers: the ids, and the logits that chose each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGenerator } from "../../src/engine/generator.ts";
import { loadModel } from "../../src/format/load-model.ts";
import { createOrtEngine } from "../../src/runtime/ort-node.ts";
import { assertLogits, goldenJson, goldenPath, goldenTensors } from "./golden-files.ts";

interface GenerationGolden {
  readonly generate: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] };
}

for (const name of ["llama", "llama-scaled"]) {
  test(`model ${name} writes greedily what transformers writes, from the same logits`, async () => {
    const { base, checkpoint } = await loadModel(goldenPath("models", name));
    const { prompt, new_ids: expected } = goldenJson<GenerationGolden>(
      "models",
      name,
      "golden.json",
    ).generate;
    const tensors = await goldenTensors("models", name, "golden.safetensors");
    const generator = await createGenerator({
      engine: createOrtEngine({ threads: 1 }),
      base,
      adapter: null,
    });
    const logits: number[] = [];
    const { ids } = await generator.complete({
      promptIds: prompt,
      maxNewTokens: expected.length,
      onLogits: (row) => logits.push(...row),
    });
    assert.deepEqual(ids, expected);
    const flags = [expected.map(() => 1)];
    assertLogits(Float32Array.from(logits), tensors.get("generate.logits") as Float32Array, flags, 5e-5);
    await generator.release();
    await checkpoint.close();
  });
}

/** @file Whole models with experts as mlx-lm writes them in few bits: they compute what mlx-lm does, and their settings alone tell their sizes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { TensorInfo } from "../../src/format/checkpoint/checkpoint.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertModelTold } from "../files/told-form.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertLogits, goldenJson, goldenPath } from "./golden-files.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });

for (const [family, gate, matrix] of [
  ["qwen3_moe", "layers.0.mlp.gate", "layers.0.mlp.experts.3.down_proj"],
  ["lfm2_moe", "layers.1.feed_forward.gate", "layers.1.feed_forward.experts.3.w2"],
] as const) {
  test(`a model of MLX with experts in stacks gives the logits of mlx-lm: ${family}`, async () => {
    const folder = `mlx-${family}`;
    const { ids, logits } = goldenJson<{ readonly ids: readonly number[]; readonly logits: number[][] }>(
      "codes",
      folder,
      "logits.json",
    );
    const { base, checkpoint } = await openUntilEnd(goldenPath("codes", folder));
    // Names and shapes are those of the family where settings tell them.
    const rules = base.model.checkpoint;
    const tensors = new Map<string, TensorInfo>();
    for (const [fileName, info] of checkpoint.tensors) {
      const name = rules.rename(fileName);
      tensors.set(name, { ...info, name, shape: rules.shapeOf(name, info.shape) });
    }
    await assertModelTold({ ...checkpoint, tensors }, join(root, folder));
    const storageOf = (module: string): string | undefined => tensors.get(`model.${module}.weight`)?.storage;
    assert.deepEqual([storageOf(gate), storageOf(matrix)], ["m8", "q4_1"]);
    const found = await logitsOf(engine, base, null, batchFromRows({ input_ids: [ids] }));
    assertLogits(found, Float32Array.from(logits.flat()), [ids.map(() => 1)], 1e-5);
  });
}

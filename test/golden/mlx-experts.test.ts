/** @file A whole model with experts as mlx-lm writes it in few bits: it computes what mlx-lm does, and its settings alone tell its sizes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertModelTold } from "../files/told-form.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertLogits, goldenJson, goldenPath } from "./golden-files.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });

test("a model of MLX with experts in stacks gives the logits of mlx-lm", async () => {
  const { ids, logits } = goldenJson<{ readonly ids: readonly number[]; readonly logits: number[][] }>(
    "codes",
    "mlx-experts",
    "logits.json",
  );
  const { base, checkpoint } = await openUntilEnd(goldenPath("codes", "mlx-experts"));
  await assertModelTold(checkpoint, join(root, "settings-alone"));
  const storageOf = (part: string): string | undefined =>
    checkpoint.tensors.get(`model.layers.0.mlp.${part}.weight`)?.storage;
  assert.deepEqual([storageOf("gate"), storageOf("experts.3.down_proj")], ["m8", "q4_1"]);
  const found = await logitsOf(engine, base, null, batchFromRows({ input_ids: [ids] }));
  assertLogits(found, Float32Array.from(logits.flat()), [ids.map(() => 1)], 1e-5);
});

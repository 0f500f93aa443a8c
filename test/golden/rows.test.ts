/** @file Batches whose rows have adapters of their own, against peft's batches of mixed adapters. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readAdapter } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { viewOfRows } from "../passes/rows-of-adapters.ts";
import { type GoldenBatch, assertLogits, goldenJson, goldenPath, goldenTensors } from "./golden-files.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = createEngine({ threads: 1 });
const { base } = await openUntilEnd(goldenPath("models", "llama"));

// Variants of RoAd are unlike forms, which a pass has beside each other.
for (const method of ["lora", "road"]) {
  test(`${method}: rows with two unlike adapters and with none give peft's logits`, async () => {
    const golden = goldenJson<{ batch: GoldenBatch; adapter_names: string[] }>("rows", method, "golden.json");
    const names = [...new Set(golden.adapter_names)];
    const adapters = await Promise.all(
      names.map(async (name) =>
        name === "__base__" ? null : (await readAdapter(goldenPath("rows", method, name), base)).adapter,
      ),
    );
    assert.equal(adapters.filter((adapter) => adapter !== null).length, 2);
    const expected = (await goldenTensors("rows", method, "golden.safetensors")).get("logits.mixed");
    const logits = await logitsOf(
      engine,
      base,
      await viewOfRows(
        engine,
        base,
        golden.adapter_names.map((name) => adapters[names.indexOf(name)] ?? null),
      ),
      batchFromRows(golden.batch),
    );
    assertLogits(logits, expected!, golden.batch.attention_mask, 5e-5);
  });
}

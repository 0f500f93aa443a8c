/** @file Rows with biases and norms of their own, in families that have them in different ways: each computes what it computes alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Adapter } from "../../src/peft/attach.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { arrangeRows } from "../../src/peft/rows/mixed-rows.ts";
import { openRowSet } from "../../src/peft/rows/open-row-set.ts";
import { Head } from "../../src/run/head/head.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";
import { memberOf } from "../passes/rows-of-adapters.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = createEngine({ threads: 1 });
const batch = unpacked(randomExamples([6, 6, 4]));

/** Layer norms with biases; norms of heads; factors 1 + w, behind branches; norms that have none; experts. */
for (const modelType of ["gpt2", "qwen3", "gemma2", "gemma4_text", "olmoe"]) {
  test(`vectors of rows of ${modelType}`, async () => {
    const { base } = await openUntilEnd(await writeTinyModel(temporaryFolder(), { modelType }));
    const [first, second] = [
      await attachTo(base, findMethod("bitfit")),
      await attachTo(base, findMethod("bitfit")),
    ];
    const rows: readonly (Adapter | null)[] = [first, null, second];
    perturb(first, 0.2, 1);
    perturb(second, 0.2, 2);
    const slots = openRowSet(base, await memberOf(engine, base, first));
    assert.ok(slots.add(await memberOf(engine, base, second)));
    assert.deepEqual(arrangeRows([slots], rows), [0, 1, 2]);
    const together = await logitsOf(engine, base, slots.view, batch);
    const size = together.length / rows.length;
    for (const [row, adapter] of rows.entries()) {
      const alone = await logitsOf(engine, base, adapter, batch);
      const largest = Math.max(1, ...alone.map(Math.abs));
      for (let i = row * size; i < (row + 1) * size; i++) {
        assert.ok(Math.abs(together[i]! - alone[i]!) <= 1e-5 * largest, `row ${row}`);
      }
    }
    const session = new Session(engine, base);
    const x = hostTensor(
      "float32",
      [1, 2, base.model.width],
      Float32Array.from({ length: 2 * base.model.width }, (_, i) => Math.cos(i)),
    );
    const normed: number[][] = [];
    const keep = (values: Float32Array): void => void normed.push([...values]);
    await new Head(session, slots.view).withNormed(x, 2, keep);
    await new Head(session, second).withNormed(x, 0, keep);
    assert.ok(normed[0]!.every((value, i) => Math.abs(value - normed[1]![i]!) < 1e-5));
    await session.release();
  });
}

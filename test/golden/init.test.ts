/** @file Start values of fresh adapters: names, shapes and statistics are those of peft. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { loadModel } from "../../src/format/load-model.ts";
import type { Method } from "../../src/peft/method.ts";
import { ia3 } from "../../src/peft/ia3.ts";
import { lora } from "../../src/peft/lora.ts";
import { road } from "../../src/peft/road.ts";
import { attachTo } from "../model-passes.ts";
import { assertNear, goldenJson, goldenPath } from "./golden-files.ts";

const { base, checkpoint } = await loadModel(goldenPath("models", "llama"));
after(() => checkpoint.close());

type Start =
  | { readonly shape: number[]; readonly constant: number }
  | { readonly shape: number[]; readonly min_max_mean_std: [number, number, number, number] };

const { tensors } = goldenJson<{ tensors: Record<string, Record<string, Start>> }>("init", "init.json");

const CASES: readonly { name: string; method: Method; options: object; modules: string | null }[] = [
  { name: "llama/lora", method: lora, options: { rank: 4, alpha: 8 }, modules: "all-linear" },
  { name: "llama/ia3", method: ia3, options: {}, modules: null },
  { name: "llama/road-1", method: road, options: {}, modules: null },
  { name: "llama/road-2", method: road, options: { variant: "road_2" }, modules: null },
  { name: "llama/road-4", method: road, options: { variant: "road_4" }, modules: null },
];

describe("start values", () => {
  for (const { name, method, options, modules } of CASES) {
    test(`${name} starts as peft's does`, async () => {
      const adapter = await attachTo(base, method, options, modules);
      const golden = tensors[name] as Record<string, Start>;
      assert.deepEqual(
        adapter.parameters.map((p) => `base_model.model.${p.name}`).sort(),
        Object.keys(golden).sort(),
      );
      for (const { name: parameter, shape } of adapter.parameters) {
        const expected = golden[`base_model.model.${parameter}`] as Start;
        assert.deepEqual(shape, expected.shape);
        const values = adapter.tensor(parameter)?.data as Float32Array;
        if ("constant" in expected) {
          assert.ok(
            values.every((value) => value === expected.constant),
            parameter,
          );
          continue;
        }
        const bound = 1 / Math.sqrt(shape[1] as number);
        const deviation = bound / Math.sqrt(3);
        const [, , , goldenDeviation] = expected.min_max_mean_std;
        assert.ok(Math.max(...values.map(Math.abs)) <= bound, `${parameter} leaves ±${bound}`);
        assert.ok(Math.max(...values) > 0.9 * bound && Math.min(...values) < -0.9 * bound, parameter);
        // Four standard errors of the mean and of the deviation of a uniform distribution.
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        assertNear(mean, 0, (4 * deviation) / Math.sqrt(values.length), `mean of ${parameter}`);
        const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
        const error = (4 * deviation * Math.sqrt(0.2)) / Math.sqrt(values.length);
        assertNear(Math.sqrt(square), deviation, error, `deviation of ${parameter}`);
        assertNear(goldenDeviation, deviation, error, `peft's deviation of ${parameter}`);
      }
    });
  }

  test('lora with init "gaussian" starts A with a deviation of 1/R', async () => {
    const adapter = await attachTo(base, lora, { rank: 8, init: "gaussian" }, "all-linear");
    const all = adapter.parameters
      .filter((p) => p.name.endsWith("lora_A.weight"))
      .flatMap((p) => [...(adapter.tensor(p.name)?.data ?? [])]);
    const square = all.reduce((sum, value) => sum + value ** 2, 0) / all.length;
    assertNear(Math.sqrt(square) * 8, 1, 4 / Math.sqrt(2 * all.length), "deviation times R");
    assert.ok(all.some((value) => Math.abs(value) > 2 / 8));
  });

  test("attach() draws equal values for equal seeds and other values for other seeds", async () => {
    const values = async (seed: number): Promise<Float32Array> =>
      (await attachTo(base, lora, {}, null, seed)).values;
    assert.deepEqual(await values(1), await values(1));
    assert.notDeepEqual(await values(1), await values(2));
  });
});

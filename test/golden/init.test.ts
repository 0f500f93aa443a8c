/** @file Start values of fresh adapters: names, shapes and statistics are those of peft. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Method } from "../../src/peft/method.ts";
import { dora } from "../../src/peft/methods/dora.ts";
import { ia3 } from "../../src/peft/methods/ia3.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { road } from "../../src/peft/methods/road.ts";
import { vera } from "../../src/peft/methods/vera.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { attachTo } from "../passes/model-passes.ts";
import { assertNear, goldenJson, goldenPath, goldenTensors, relativeDifference } from "./golden-files.ts";
import { frozenOf, valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const { base } = await openUntilEnd(goldenPath("models", "llama"));

type Start =
  | { readonly shape: number[]; readonly constant: number }
  | { readonly shape: number[]; readonly min_max_mean_std: [number, number, number, number] };

const { tensors } = goldenJson<{ tensors: Record<string, Record<string, Start>> }>("init", "init.json");

/** Largest value of a uniform start with so many columns. */
const LORA_BOUND = (columns: number): number => 1 / Math.sqrt(columns);
const KAIMING_BOUND = (columns: number): number => Math.sqrt(6 / columns);

/** Tensors that start from the base and not from chance. */
const FROM_BASE = /lora_magnitude_vector$|lm_head\.weight$/;

/** Smallest, largest, mean and deviation, as torch computes them. */
function statistics(values: Float32Array): [number, number, number, number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return [Math.min(...values), Math.max(...values), mean, Math.sqrt(square)];
}

interface StartCase {
  readonly name: string;
  readonly method: Method;
  readonly options: object;
  readonly modules: string | readonly string[] | null;
  readonly bound?: (columns: number) => number;
}

const CASES: readonly StartCase[] = [
  { name: "llama/lora", method: lora, options: { rank: 4, alpha: 8 }, modules: "all-linear" },
  {
    name: "llama/lora-embedding",
    method: lora,
    options: { rank: 4 },
    modules: ["embed_tokens", "lm_head", "v_proj"],
  },
  {
    name: "llama/lora-save-head",
    method: lora,
    options: { rank: 4, modulesToSave: ["lm_head"] },
    modules: ["q_proj", "v_proj"],
  },
  { name: "llama/dora", method: dora, options: { rank: 4 }, modules: "all-linear" },
  { name: "llama/ia3", method: ia3, options: {}, modules: null },
  { name: "llama/road-1", method: road, options: {}, modules: null },
  { name: "llama/road-2", method: road, options: { variant: "road_2" }, modules: null },
  { name: "llama/road-4", method: road, options: { variant: "road_4" }, modules: null },
  { name: "llama/vera", method: vera, options: { rank: 6 }, modules: null, bound: KAIMING_BOUND },
];

describe("start values", () => {
  for (const { name, method, options, modules, bound: boundOf = LORA_BOUND } of CASES) {
    test(`${name} starts as peft's does`, async () => {
      const adapter = await attachTo(base, method, options, modules);
      const golden = tensors[name]!;
      const own = new Map(
        adapter.parameters.map((p) => [`base_model.model.${p.name}`, adapter.tensor(p.name) as HostTensor]),
      );
      for (const [shared, tensor] of adapter.shared) own.set(`base_model.${shared}`, tensor);
      const expectedNames = Object.keys(golden).filter((key) => !key.endsWith(".base_layer.weight"));
      assert.deepEqual([...own.keys()].sort(), expectedNames.sort());
      for (const [parameter, { shape, data }] of own) {
        const expected = golden[parameter]!;
        assert.deepEqual(shape, expected.shape);
        const values = data as Float32Array;
        if ("constant" in expected) {
          assert.ok(
            values.every((value) => value === expected.constant),
            parameter,
          );
          continue;
        }
        if (FROM_BASE.test(parameter)) {
          statistics(values).forEach((value, i) =>
            assertNear(value, expected.min_max_mean_std[i]!, 2e-6, parameter),
          );
          continue;
        }
        if (parameter.endsWith("lora_embedding_B")) {
          const [, , mean, deviation] = statistics(values);
          assertNear(mean, 0, 4 / Math.sqrt(values.length), `mean of ${parameter}`);
          assertNear(deviation, 1, 4 / Math.sqrt(2 * values.length), `deviation of ${parameter}`);
          continue;
        }
        const bound = boundOf(shape[1]!);
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

  for (const init of ["pissa", "olora"]) {
    test(`lora with init "${init}" starts with peft's product and leaves the base`, async () => {
      const golden = await goldenTensors("init", `${init}.safetensors`);
      const options = { rank: 4, alpha: 8, init };
      const adapter = await attachTo(base, lora, options, ["q_proj", "down_proj"]);
      for (const { path, spec } of adapter.sites.values()) {
        const { inFeatures, outFeatures } = spec;
        const own = ["A", "B"].map((x) => adapter.tensor(`${path}.lora_${x}.weight`)!.data);
        const peft = ["A", "B"].map((x) => golden.get(`base_model.model.${path}.lora_${x}.weight`)!);
        const product = ([a, b]: Float32Array[]): Float32Array =>
          Float32Array.from({ length: outFeatures * inFeatures }, (_, i) => {
            const [row, column] = [Math.floor(i / inFeatures), i % inFeatures];
            return [0, 1, 2, 3].reduce((sum, k) => sum + b![4 * row + k]! * a![inFeatures * k + column]!, 0);
          });
        assert.ok(relativeDifference(product(own), product(peft)) < 1e-5, path);
        // Each of the two is peft's up to the signs of the singular vectors.
        for (const [i, values] of own.entries()) {
          assert.ok(relativeDifference(values.map(Math.abs), peft[i]!.map(Math.abs)) < 1e-4, path);
        }
        const weight = (await base.values(`${path}.weight`)).data;
        const residual = product(own).map((value, i) => weight[i]! - 2 * value);
        const expected = golden.get(`residual.${path}.weight`)!;
        assert.ok(relativeDifference(residual, expected) < 1e-5, path);
        for (const x of ["A", "B"]) {
          const frozen = frozenOf(adapter).get(`${path}.lora_${x}0.weight`)!;
          assert.deepEqual(frozen.data, adapter.tensor(`${path}.lora_${x}.weight`)?.data);
        }
      }
    });
  }

  test("attach() draws equal values for equal seeds and other values for other seeds", async () => {
    const values = async (seed: number): Promise<Float32Array> =>
      valuesOf(await attachTo(base, lora, {}, null, seed));
    assert.deepEqual(await values(1), await values(1));
    assert.notDeepEqual(await values(1), await values(2));
  });
});

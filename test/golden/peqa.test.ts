/** @file PEQA against a PyTorch implementation of the paper's equations, in float64: codes bit for bit, then training. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { Frozen, SitePlace } from "../../src/peft/sites/site.ts";
import { peqa as method } from "../../src/peft/methods/peqa.ts";
import { type ScaleStart, quantizeAffine } from "../../src/quant/affine/affine-quantize.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import {
  attachTo,
  batchFromRows,
  logitsOf,
  lossAndGradients,
  trainSteps,
  withTensors,
} from "../passes/model-passes.ts";
import { linearSite } from "../tiny/sites.ts";
import { assertRelative, goldenJson, goldenPath, goldenTensor } from "./golden-files.ts";
import { layerMerge, layerStep, openProgram, openSteps, runOnce } from "./layer.ts";
import { frozenOf, setValues, valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

interface Variant {
  readonly bits: 2 | 3 | 4;
  readonly group: number | null;
  readonly init: ScaleStart;
  readonly lr: number;
  readonly loss: number;
  readonly curve: readonly number[];
  readonly final_loss: number;
  readonly trainable: number;
}
interface Golden {
  readonly variants: Readonly<Record<string, Variant>>;
}

const Y = 1e-5;
const GRADIENT = 1e-4;
const CURVE = 2e-5;
const TRAINED = 1e-3;

const engine = createEngine({ threads: 1 });

async function goldenCase(name: string) {
  const { variants } = goldenJson<Golden>("peqa", `${name}.json`);
  const tensor = await goldenTensor("peqa", `${name}.safetensors`);
  return { variants: Object.entries(variants), tensor };
}

/** Elements as plain numbers, whatever their type. */
const listOf = (data: ArrayLike<number | bigint>): number[] => Array.from(data, Number);

function assertCurve(actual: readonly number[], expected: readonly number[]): void {
  assertRelative(Float32Array.from(actual), Float32Array.from(expected), CURVE, "curve of losses");
}

const optionsOf = ({ bits, group, init }: Variant): object => ({ bits, groupSize: group ?? 0, init });

const sumOf = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value + b[i]!);

const hashOf = (tensors: Iterable<HostTensor>): string => {
  const hash = createHash("sha256");
  for (const { data } of tensors) {
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
};

describe("degenerate groups", async () => {
  const { variants, tensor } = await goldenCase("edge");

  for (const [name, { bits, group, init }] of variants) {
    test(`${name}: codes, zeros and scales are those of the reference`, () => {
      const weight = tensor("weight");
      const shape = [weight.length / 8, 8] as const;
      const made = quantizeAffine(weight, shape, { bits, groupSize: group!, start: init });
      assert.deepEqual(listOf(made.codes.data), listOf(tensor(`${name}/packed_dense`)));
      assert.deepEqual(listOf(made.zero!.data), listOf(tensor(`${name}/zero`)));
      assert.deepEqual(made.scale.data, tensor(`${name}/scale`));
    });
  }

  for (const bits of [4, 3, 2] as const) {
    test(`rows that fill no byte, ${bits} bits: as the reference packs them`, () => {
      const made = quantizeAffine(tensor("odd/weight"), [5, 7], { bits, groupSize: 7, start: "rtn" });
      assert.deepEqual(listOf(made.codes.data), listOf(tensor(`odd/b${bits}.packed_dense`)));
      assert.deepEqual(listOf(made.zero!.data), listOf(tensor(`odd/b${bits}.zero`)));
      assert.deepEqual(made.scale.data, tensor(`odd/b${bits}.scale`));
    });
  }
});

describe("PEQA on one linear layer", async () => {
  const { variants, tensor } = await goldenCase("linear");
  const [weight, bias] = [tensor("weight"), tensor("bias")];
  const outFeatures = bias.length;
  const inFeatures = weight.length / outFeatures;
  const numTokens = tensor("x").length / inFeatures / 10;
  const spec = linearSite("proj", inFeatures, outFeatures);
  const place: SitePlace = { path: "proj", spec, storage: "f32", groupSize: null, sites: [spec] };
  const weights = {
    weight: hostTensor("float32", [outFeatures, inFeatures], weight),
    bias: hostTensor("float32", [outFeatures], bias),
  };
  const batch = (k: number): Record<string, HostTensor> => {
    const part = (what: string, width: number): HostTensor => {
      const length = numTokens * width;
      const data = tensor(what).subarray(k * length, (k + 1) * length);
      return hostTensor("float32", [numTokens, width], data);
    };
    return { x: part("x", inFeatures), target: part("target", outFeatures) };
  };

  for (const [name, variant] of variants) {
    const options = method.configure(method.options.parse(optionsOf(variant)))(place);
    const [parameter] = method.trained.specs(spec, options);
    assert.ok(parameter);
    const golden = (key: string): Float32Array => tensor(`${name}/${key}`);

    const start = async (): Promise<{ scale: HostTensor<"float32">; frozen: Frozen }> => {
      const scale = zeros("float32", parameter.shape);
      const frozen = await method.frozen.freeze(
        {
          ...place,
          tensors: { [parameter.suffix]: scale },
          stored: () => assert.fail("a base of floats has no codes"),
          weight: async () => weight,
          shareOnBase: async (_key, make) => make(),
        },
        options,
      );
      return { scale, frozen };
    };

    describe(name, () => {
      test("codes, zeros and scales", async () => {
        const { scale, frozen } = await start();
        assert.deepEqual(listOf(frozen["peqa_codes"]!.data), listOf(golden("packed_dense")));
        assert.deepEqual(listOf(frozen["peqa_zero"]!.data), listOf(golden("zero")));
        assert.deepEqual(scale.data, golden("scale"));
        assert.equal(scale.data.length, variant.trainable);
      });

      test("output, gradients, ten steps of training, another task's scales and back", async () => {
        const program = await openProgram(engine, layerStep(method, spec, options, numTokens));
        const { scale, frozen } = await start();
        const hash = hashOf(Object.values(frozen));
        const run = (k: number): Promise<(name: string) => Float32Array> =>
          program.run({ ...batch(k), ...weights, ...frozen, [parameter.suffix]: scale });
        const lossOf = (found: (name: string) => Float32Array): number => found("loss")[0]!;
        const first = await run(0);
        assertCurve([lossOf(first)], [variant.loss]);
        assertRelative(first("y"), golden("y"), Y, "y");
        assertRelative(first("d.x"), golden("grad.x"), GRADIENT, "gradient of x");
        assertRelative(first("d.peqa_scale"), golden("grad.delta_s"), GRADIENT, "gradient of the scales");

        const steps = await openSteps(engine, scale.data, variant.lr);
        const losses: number[] = [];
        for (let k = 0; k < 10; k++) {
          const found = await run(k);
          losses.push(lossOf(found));
          await steps.step(found("d.peqa_scale"));
        }
        await steps.release();
        assertCurve(losses, variant.curve);
        const after = await run(0);
        assertCurve([lossOf(after)], [variant.final_loss]);
        const final = scale.data.slice();
        const change = final.map((value, i) => value - golden("scale")[i]!);
        assertRelative(change, golden("final.delta_s"), TRAINED, "change of the scales");
        const trained = after("y").slice();
        assertRelative(trained, golden("final_y"), TRAINED, "y after training");

        scale.data.set(sumOf(golden("scale"), golden("task_b.delta_s")));
        assertRelative((await run(0))("y"), golden("task_b.y"), Y, "y with the scales of task b");
        scale.data.set(final);
        assert.deepEqual((await run(0))("y"), trained);
        assert.equal(hashOf(Object.values(frozen)), hash, "a code has changed");
        await program.release();
      });

      // The file holds the merged weight of one variant.
      if (name !== "b3.g32.clip") return;
      test("its merged weight is that of the reference", async () => {
        const { scale, frozen } = await start();
        scale.data.set(sumOf(golden("scale"), golden("final.delta_s")));
        const feeds = { ...weights, ...frozen, [parameter.suffix]: scale };
        const found = await runOnce(engine, layerMerge(method, spec, options), feeds);
        assertRelative(found("merged"), golden("final_merged"), 1e-6, "merged weight");
      });
    });
  }
});

describe("PEQA on a Llama of two blocks", async () => {
  const { variants, tensor } = await goldenCase("llama");
  const { base } = await openUntilEnd(goldenPath("models", "tiny-llama"));
  const [numRows, length] = [2, 12];
  const rowsOf = (data: Float32Array, k: number): number[][] =>
    Array.from({ length: numRows }, (_, row) => {
      const from = (k * numRows + row) * length;
      return listOf(data.subarray(from, from + length));
    });
  const batches = Array.from({ length: 10 }, (_, k) =>
    batchFromRows({ input_ids: rowsOf(tensor("input_ids"), k), labels: rowsOf(tensor("labels"), k) }),
  );
  const keyOf = (parameter: string): string => parameter.replace(/peqa_scale$/, "delta_s");

  /** Sets the scales to those of the reference's start and a change. */
  function setScales(adapter: Adapter, name: string, change: string): void {
    for (const { name: parameter } of adapter.parameters) {
      const start = tensor(`${name}/${parameter.replace(/\.peqa_scale$/, ".scale")}`);
      const delta = tensor(`${name}/${change}.${keyOf(parameter)}`);
      adapter.tensor(parameter)!.data.set(sumOf(start, delta));
    }
  }

  for (const [name, variant] of variants) {
    describe(name, () => {
      test("codes, zeros and scales of all projections", async () => {
        const adapter = await attachTo(base, method, optionsOf(variant));
        assert.equal(adapter.sites.size, 14);
        assert.equal(adapter.numTrained, variant.trainable);
        for (const path of adapter.sites.keys()) {
          const [codes, zero] = ["codes", "zero"].map((part) =>
            frozenOf(adapter).get(`${path}.peqa_${part}`)!,
          );
          assert.deepEqual(listOf(codes!.data), listOf(tensor(`${name}/${path}.packed_dense`)), path);
          assert.deepEqual(listOf(zero!.data), listOf(tensor(`${name}/${path}.zero`)), path);
          assert.deepEqual(adapter.tensor(`${path}.peqa_scale`)!.data, tensor(`${name}/${path}.scale`), path);
        }
      });

      test("logits, loss and gradients", async () => {
        const adapter = await attachTo(base, method, optionsOf(variant));
        const logits = await logitsOf(engine, base, adapter, batches[0]!);
        assertRelative(logits, tensor(`${name}/y`), Y, "logits");
        for (const recompute of [false, true]) {
          const found = await lossAndGradients(engine, base, adapter, batches.slice(0, 1), { recompute });
          assertCurve([found.loss], [variant.loss]);
          assert.equal(found.gradients.size, 14);
          for (const [parameter, gradient] of found.gradients) {
            assertRelative(gradient, tensor(`${name}/grad.${keyOf(parameter)}`), GRADIENT, parameter);
          }
        }
      });

      test("ten steps of training leave every code as it is", async () => {
        const adapter = await attachTo(base, method, optionsOf(variant));
        const hash = hashOf(frozenOf(adapter).values());
        const losses = await trainSteps(engine, base, adapter, batches, { learningRate: variant.lr });
        assertCurve(losses, variant.curve);
        const { loss } = await lossAndGradients(engine, base, adapter, batches.slice(0, 1));
        assertCurve([loss], [variant.final_loss]);
        assert.equal(hashOf(frozenOf(adapter).values()), hash);
        const logits = await logitsOf(engine, base, adapter, batches[0]!);
        assertRelative(logits, tensor(`${name}/final_y`), TRAINED, "logits after training");
      });

      test("the scales of two tasks are two dense models, and back bit for bit", async () => {
        const adapter = await attachTo(base, method, optionsOf(variant));
        const own = await logitsOf(engine, base, adapter, batches[0]!);
        const start = valuesOf(adapter);
        setScales(adapter, name, "task_b");
        const other = await logitsOf(engine, base, adapter, batches[0]!);
        assertRelative(other, tensor(`${name}/task_b.y`), Y, "logits with the scales of task b");
        const dense = await withTensors(base, await mergeAdapter(engine, base, adapter));
        assertRelative(await logitsOf(engine, dense, null, batches[0]!), other, Y, "dense model of task b");
        setValues(adapter, start);
        assert.deepEqual(await logitsOf(engine, base, adapter, batches[0]!), own);
      });
    });
  }

  test("final scales and merged weights of 3 bits in groups of 32", async () => {
    const [name, variant] = variants.find(([key]) => key === "b3.g32.clip")!;
    const adapter = await attachTo(base, method, optionsOf(variant));
    setScales(adapter, name, "final");
    const merged = await mergeAdapter(engine, base, adapter);
    let numCompared = 0;
    for (const path of adapter.sites.keys()) {
      if (!path.includes("layers.1.")) continue;
      const weight = merged.get(`${path}.weight`)!.data;
      assertRelative(weight, tensor(`${name}/final_merged.${path}`), 1e-6, path);
      numCompared++;
    }
    assert.equal(numCompared, 7);
  });
});

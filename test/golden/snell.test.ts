/** @file SNELL against a PyTorch implementation of the paper and of the published code, in float64. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { ParameterSpec, SitePlace } from "../../src/peft/sites/site.ts";
import { snell as method } from "../../src/peft/methods/snell.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, logitsOf, lossAndGradients, trainSteps } from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { linearSite } from "../tiny/sites.ts";
import { assertRelative, goldenJson, goldenPath, goldenTensor } from "./golden-files.ts";
import { llamaBatches } from "./golden-model.ts";
import { layerMerge, layerStep, openProgram, openSteps, runOnce } from "./layer.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

interface Variant {
  readonly kernel: string;
  readonly mode: string;
  readonly through: string;
  readonly sparsity: number | Readonly<Record<string, number>>;
  readonly learned: readonly string[];
  readonly coefficients: Readonly<Record<string, readonly number[]>>;
  readonly lr: number;
  readonly loss: number;
  readonly curve: readonly number[];
  readonly final_loss: number;
  readonly kept: number | Readonly<Record<string, number>>;
}

const Y = 1e-5;
const GRADIENT = 1e-4;
const CURVE = 2e-5;
const TRAINED = 1e-3;
const NUM_STEPS = 10;

const engine = sharePrograms(createEngine({ threads: 1 }));

/** The options of a variant for factors of width `rank`. */
function optionsOf(
  { kernel, coefficients, learned, mode, through, sparsity }: Variant,
  rank: number,
): object {
  const alpha = coefficients["alpha"] ?? [1];
  return {
    rank,
    kernel: kernel === "piecewise" ? "piecewise-linear" : kernel,
    pieces: alpha.length,
    alpha: alpha[0],
    learnKernel: learned.includes("alpha"),
    sparsify: mode,
    through,
    ...(typeof sparsity === "number" ? { sparsity } : { sparsityPattern: sparsity }),
  };
}

function assertLosses(actual: readonly number[], expected: readonly number[]): void {
  assertRelative(Float32Array.from(actual), Float32Array.from(expected), CURVE, "loss");
}

/** Name of a trained tensor in the golden files. */
const goldenName = (suffix: string): string => suffix.replace("snell_", "");

/** Trained tensors with the values that `valueOf` gives: in one vector, and views of it by suffix. */
function startAt(parameters: readonly ParameterSpec[], valueOf: (suffix: string) => Float32Array) {
  const values = new Float32Array(parameters.reduce((sum, { shape }) => sum + numElements(shape), 0));
  const views: Record<string, HostTensor<"float32">> = {};
  let offset = 0;
  for (const { suffix, shape } of parameters) {
    const part = values.subarray(offset, (offset += numElements(shape)));
    part.set(valueOf(suffix));
    views[suffix] = hostTensor("float32", shape, part);
  }
  return { values, views };
}

describe("SNELL on one linear layer", async () => {
  const variants = goldenJson<Record<string, Variant>>("snell", "linear.json");
  const tensor = await goldenTensor("snell", "linear.safetensors");
  const outFeatures = tensor("bias").length;
  const inFeatures = tensor("weight").length / outFeatures;
  const numTokens = tensor("x").length / inFeatures / NUM_STEPS;
  const spec = linearSite("proj", inFeatures, outFeatures);
  const weights = {
    weight: hostTensor("float32", [outFeatures, inFeatures], tensor("weight")),
    bias: hostTensor("float32", [outFeatures], tensor("bias")),
  };
  const batch = (k: number): Record<string, HostTensor<"float32">> => {
    const part = (what: string, width: number): HostTensor<"float32"> => {
      const length = numTokens * width;
      return hostTensor("float32", [numTokens, width], tensor(what).subarray(k * length, (k + 1) * length));
    };
    return { x: part("x", inFeatures), target: part("target", outFeatures) };
  };

  for (const [name, variant] of Object.entries(variants)) {
    const rank = tensor(`${name}/param.A`).length / inFeatures;
    const place: SitePlace = { path: "proj", spec, storage: "f32", groupSize: null, sites: [spec] };
    const options = method.configure(method.options.parse(optionsOf(variant, rank)))(place);
    const parameters = method.trained.specs(spec, options);
    const step = layerStep(method, spec, options, numTokens);
    const golden = (what: string, suffix: string): Float32Array =>
      tensor(`${name}/${what}.${goldenName(suffix)}`);
    const start = () => startAt(parameters, (suffix) => golden("param", suffix));

    test(`${name}: output, loss and gradients`, async () => {
      const found = await runOnce(engine, step, { ...batch(0), ...weights, ...start().views });
      assertRelative(found("y"), tensor(`${name}/y`), Y, "y");
      assertLosses([found("loss")[0]!], [variant.loss]);
      for (const suffix of ["x", ...parameters.map((p) => p.suffix)]) {
        assertRelative(found(`d.${suffix}`), golden("grad", suffix), GRADIENT, `gradient of ${suffix}`);
      }
    });

    test(`${name}: the same entries are zero, and the merged weight is the sum`, async () => {
      const program = await openProgram(engine, layerMerge(method, spec, options));
      const none = zeros("float32", [outFeatures, inFeatures]);
      const delta = (await program.run({ ...weights, ...start().views, weight: none }))("merged").slice();
      const expected = tensor(`${name}/init_sparse`);
      assertRelative(delta, expected, Y, "sparse delta");
      const places = (values: Float32Array): number[] => [...values.keys()].filter((i) => values[i] !== 0);
      assert.deepEqual(places(delta), places(expected));
      assert.equal(places(expected).length, variant.kept);
      const sum = tensor("weight").map((value, i) => value + expected[i]!);
      const found = await program.run({ ...weights, ...start().views });
      assertRelative(found("merged"), sum, Y, "merged weight");
      await program.release();
    });

    test(`${name}: ten steps of training`, async () => {
      const program = await openProgram(engine, step);
      const { values, views } = start();
      const steps = await openSteps(engine, values, variant.lr);
      const losses: number[] = [];
      for (let k = 0; k < NUM_STEPS; k++) {
        const found = await program.run({ ...batch(k), ...weights, ...views });
        losses.push(found("loss")[0]!);
        await steps.step(startAt(parameters, (suffix) => found(`d.${suffix}`)).values);
      }
      assertLosses(losses, variant.curve);
      const found = await program.run({ ...batch(0), ...weights, ...views });
      assertLosses([found("loss")[0]!], [variant.final_loss]);
      for (const { suffix } of parameters) {
        assertRelative(views[suffix]!.data, golden("final", suffix), TRAINED, suffix);
      }
      await program.release();
      await steps.release();
    });
  }
});

describe("SNELL on all projections of a tiny Llama", async () => {
  const variants = goldenJson<Record<string, Variant>>("snell", "llama.json");
  const tensor = await goldenTensor("snell", "llama.safetensors");
  const { base } = await openUntilEnd(goldenPath("models", "tiny-llama"));
  const batches = llamaBatches();

  for (const [name, variant] of Object.entries(variants)) {
    const golden = (what: string, parameter: string): Float32Array =>
      tensor(`${name}/${what}.${goldenName(parameter)}`);
    const start = async (): Promise<Adapter> => {
      const adapter = await attachTo(base, method, optionsOf(variant, 4), "all-linear");
      for (const { name: parameter } of adapter.parameters) {
        adapter.tensor(parameter)?.data.set(golden("param", parameter));
      }
      return adapter;
    };

    test(`${name}: logits, loss and gradients, with activations kept and computed again`, async () => {
      const [adapter, batch] = [await start(), batches[0]!];
      assertRelative(await logitsOf(engine, base, adapter, batch), tensor(`${name}/y`), Y, "logits");
      for (const recompute of [false, true]) {
        const result = await lossAndGradients(engine, base, adapter, [batch], { recompute });
        assertLosses([result.loss], [variant.loss]);
        for (const [parameter, gradient] of result.gradients) {
          assertRelative(gradient, golden("grad", parameter), GRADIENT, `gradient of ${parameter}`);
        }
      }
    });

    test(`${name}: each site has as many zeros as its sparsity says`, async () => {
      const adapter = await start();
      const merged = await mergeAdapter(engine, base, adapter);
      for (const [site, kept] of Object.entries(variant.kept)) {
        const before = (await base.values(`${site}.weight`)).data;
        // An entry of soft is as small as the square of what is left of it, and may not move a weight in float32.
        const moved = merged.get(`${site}.weight`)!.data.filter((value, i) => value !== before[i]).length;
        assert.ok(moved <= kept && moved >= kept - 5, `${site}: ${moved} of ${kept} moved`);
      }
    });

    test(`${name}: ten steps of training, and the weights merged after them`, async () => {
      const adapter = await start();
      const losses = await trainSteps(engine, base, adapter, batches, { learningRate: variant.lr });
      assertLosses(losses, variant.curve);
      const { loss } = await lossAndGradients(engine, base, adapter, batches.slice(0, 1));
      assertLosses([loss], [variant.final_loss]);
      for (const { name: parameter } of adapter.parameters) {
        assertRelative(adapter.tensor(parameter)!.data, golden("final", parameter), TRAINED, parameter);
      }
      if (name !== "paper") return;
      const merged = await mergeAdapter(engine, base, adapter);
      for (const site of ["model.layers.1.self_attn.k_proj", "model.layers.1.mlp.down_proj"]) {
        const weight = merged.get(`${site}.weight`)!.data;
        assertRelative(weight, tensor(`${name}/final_merged.${site}`), TRAINED, `merged ${site}`);
      }
    });
  }
});

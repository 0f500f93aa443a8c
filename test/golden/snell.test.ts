/** @file SNELL against a PyTorch implementation of the paper and of the published code, in float64. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { mul, sub } from "../../src/graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../src/graph/ops/reductions/reduce-mean.ts";
import type { ProgramSpec } from "../../src/graph/program.ts";
import type { SiteSpec } from "../../src/models/graphs/sites.ts";
import type { SiteGraph } from "../../src/models/graphs/site-graph.ts";
import { type UpdateStep, type VectorGroup, createUpdater } from "../../src/optim/updater.ts";
import { findOptimizer } from "../../src/optim/optimizers.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { ParameterSpec, SitePlace } from "../../src/peft/sites/site.ts";
import { snell as method } from "../../src/peft/methods/snell.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import {
  accumulateLoss,
  attachTo,
  batchFromRows,
  logitsOf,
  lossAndGradients,
} from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { linearSite } from "../tiny/sites.ts";
import { goldenJson, goldenPath, goldenTensors, relativeDifference } from "./golden-files.ts";
import { gradientsOf, groupOf } from "../tiny/one-group.ts";
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

function assertRelative(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  const difference = relativeDifference(actual, expected);
  assert.ok(difference <= tolerance, `${what} is ${difference} apart`);
}

function assertLosses(actual: readonly number[], expected: readonly number[]): void {
  assertRelative(Float32Array.from(actual), Float32Array.from(expected), CURVE, "loss");
}

/** The golden tensors of a file; asking for one that is not there fails. */
async function tensorsOf(file: string): Promise<(name: string) => Float32Array> {
  const tensors = await goldenTensors("snell", file);
  return (name) => {
    const found = tensors.get(name);
    assert.ok(found, name);
    return found;
  };
}

/** Name of a trained tensor in the golden files. */
const goldenName = (suffix: string): string => suffix.replace("snell_", "");

/** Steps of AdamW without decay, as the golden numbers were made. */
async function createSteps(groups: readonly VectorGroup[], learningRate: number) {
  const adamw = findOptimizer("adamw");
  const updater = await createUpdater(engine, adamw, adamw.options.parse({}), groups);
  return {
    step: (gradients: UpdateStep["gradients"]) =>
      updater.step({ gradients, gradientScale: 1, learningRate, weightDecay: 0 }),
    release: () => updater.release(),
  };
}

type Feeds = Readonly<Record<string, HostTensor<"float32">>>;

/** Compiles a program of known sizes; the function runs it into the same memory each time. */
async function compile(spec: ProgramSpec) {
  const program = await engine.compile(spec);
  const into = Object.fromEntries(
    Object.entries(spec.outputs).map(([name, { shape }]) => [name, zeros("float32", shape as number[])]),
  );
  return {
    run: async (feeds: Feeds): Promise<(name: string) => Float32Array> => {
      await program.run(feeds, into);
      return (name) => into[name]!.data;
    },
    release: () => program.release(),
  };
}

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
  const tensor = await tensorsOf("linear.safetensors");
  const outFeatures = tensor("bias").length;
  const inFeatures = tensor("weight").length / outFeatures;
  const numTokens = tensor("x").length / inFeatures / NUM_STEPS;
  const spec = linearSite("proj", inFeatures, outFeatures);
  const weights = {
    weight: hostTensor("float32", [outFeatures, inFeatures], tensor("weight")),
    bias: hostTensor("float32", [outFeatures], tensor("bias")),
  };
  const batch = (k: number): Feeds => {
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
    const { step, merge } = programs(spec, numTokens, parameters, options);
    const golden = (what: string, suffix: string): Float32Array =>
      tensor(`${name}/${what}.${goldenName(suffix)}`);
    const start = () => startAt(parameters, (suffix) => golden("param", suffix));

    test(`${name}: output, loss and gradients`, async () => {
      const program = await compile(step);
      const found = await program.run({ ...batch(0), ...weights, ...start().views });
      assertRelative(found("y"), tensor(`${name}/y`), Y, "y");
      assertLosses([found("loss")[0]!], [variant.loss]);
      for (const suffix of ["x", ...parameters.map((p) => p.suffix)]) {
        assertRelative(found(`d.${suffix}`), golden("grad", suffix), GRADIENT, `gradient of ${suffix}`);
      }
      await program.release();
    });

    test(`${name}: the same entries are zero, and the merged weight is the sum`, async () => {
      const program = await compile(merge);
      const none = zeros("float32", [outFeatures, inFeatures]);
      const found = await program.run({ ...weights, ...start().views, none });
      const expected = tensor(`${name}/init_sparse`);
      assertRelative(found("delta"), expected, Y, "sparse delta");
      const places = (values: Float32Array): number[] => [...values.keys()].filter((i) => values[i] !== 0);
      assert.deepEqual(places(found("delta")), places(expected));
      assert.equal(places(expected).length, variant.kept);
      const sum = tensor("weight").map((value, i) => value + expected[i]!);
      assertRelative(found("merged"), sum, Y, "merged weight");
      await program.release();
    });

    test(`${name}: ten steps of training`, async () => {
      const program = await compile(step);
      const { values, views } = start();
      const steps = await createSteps(groupOf(values), variant.lr);
      const losses: number[] = [];
      for (let k = 0; k < NUM_STEPS; k++) {
        const found = await program.run({ ...batch(k), ...weights, ...views });
        losses.push(found("loss")[0]!);
        await steps.step(gradientsOf(startAt(parameters, (suffix) => found(`d.${suffix}`)).values));
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

/** One program of output, loss and gradients; one of the merged weight and of the update alone. */
function programs(
  spec: SiteSpec,
  numTokens: number,
  parameters: readonly ParameterSpec[],
  options: unknown,
): { step: ProgramSpec; merge: ProgramSpec } {
  const { inFeatures, outFeatures } = spec;
  const graph = new Graph();
  const [x, target] = [inFeatures, outFeatures].map((width, i) =>
    graph.input(i === 0 ? "x" : "target", "float32", [numTokens, width]),
  ) as [Value, Value];
  const weight = graph.input("weight", "float32", [outFeatures, inFeatures]);
  const none = graph.input("none", "float32", [outFeatures, inFeatures]);
  const bias = graph.input("bias", "float32", [outFeatures]);
  const own = Object.fromEntries(
    parameters.map(({ suffix, shape }) => [suffix, graph.input(suffix, "float32", shape)]),
  );
  const save = (_name: string, value: Value): Value => value;
  const dropout = (value: Value): Value => value;
  const site = { spec, weight, bias, save, dropout } as unknown as SiteGraph;
  const y = method.adapt(site, x, own, options);
  const error = sub(y, target);
  const loss = reduceMean(mul(error, error), [0, 1]);
  const wrt: Record<string, Value> = { x, ...own };
  const gradient = graph.constant("float32", [1, 1], Float32Array.of(1));
  const found = gradients([{ value: loss, gradient }], Object.values(wrt));
  const derivatives = Object.keys(wrt).map((suffix, i) => [`d.${suffix}`, found[i]!]);
  assert.ok(method.merge !== "not-mergeable");
  const merged = method.merge.graph({ weight, bias }, own, spec, options).weight;
  const delta = method.merge.graph({ weight: none, bias: null }, own, spec, options).weight;
  return {
    step: {
      name: "step",
      inputs: { target, weight, bias, ...wrt },
      outputs: { y, loss, ...Object.fromEntries(derivatives) },
    },
    merge: { name: "merge", inputs: { weight, none, ...own }, outputs: { merged, delta } },
  };
}

describe("SNELL on all projections of a tiny Llama", async () => {
  const variants = goldenJson<Record<string, Variant>>("snell", "llama.json");
  const tensor = await tensorsOf("llama.safetensors");
  const rows = goldenJson<{ input_ids: number[][][]; labels: number[][][] }>("road", "llama-batches.json");
  const { base } = await openUntilEnd(goldenPath("models", "tiny-llama"));
  const batches = rows.input_ids.map((ids, k) => batchFromRows({ input_ids: ids, labels: rows.labels[k]! }));

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
      const session = new Session(engine, base);
      const runner = await StepRunner.create({ session, adapter, recompute: false, seed: 0 });
      const steps = await createSteps(adapter.groups, variant.lr);
      const losses: number[] = [];
      for (const [k, batch] of batches.entries()) {
        runner.gradients.begin();
        losses.push((await accumulateLoss(runner, batch, 1 / batch.numLabels, k, 0)) / batch.numLabels);
        runner.gradients.finish();
        await steps.step(runner.gradients.groups);
      }
      await runner.release();
      await session.release();
      await steps.release();
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

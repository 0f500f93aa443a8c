/** @file RoAd against a PyTorch implementation of the paper in float64, in the paper's pairing and in PEFT's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { mul, sub } from "../../src/graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../src/graph/ops/reductions/reduce-mean.ts";
import { rotatePairs } from "../../src/graph/ops/products/rotate-pairs.ts";
import { transpose } from "../../src/graph/ops/shapes/transpose.ts";
import type { ProgramSpec } from "../../src/graph/program.ts";
import { evaluateShape } from "../../src/graph/shape.ts";
import type { SiteGraph } from "../../src/models/graphs/site-graph.ts";
import { linear } from "../../src/nn/linear.ts";
import { createUpdater } from "../../src/optim/updater.ts";
import { findOptimizer } from "../../src/optim/optimizers.ts";
import {
  type RoadLayout,
  type RoadVariant,
  coefficientsOf,
} from "../../src/peft/methods/road/coefficients.ts";
import { road } from "../../src/peft/methods/road.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import {
  accumulateLoss,
  attachTo,
  batchFromRows,
  logitsOf,
  lossAndGradients,
} from "../passes/model-passes.ts";
import { linearSite } from "../tiny/sites.ts";
import { assertNear, goldenJson, goldenPath, goldenTensors, relativeDifference } from "./golden-files.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const VARIANTS = ["road_1", "road_2", "road_4"] as const;
const engine = createEngine({ threads: 1 });

function assertRelative(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  const difference = relativeDifference(actual, expected);
  assert.ok(difference <= tolerance, `${what} is ${difference} apart`);
}

/**
 * Values of the paper's blocks as they are stored with groups of 2: for road_4 a block has its entries 11, 12, 21, 22,
 * and the diagonal is stored first.
 */
function toStored(values: Float32Array, variant: RoadVariant): Float32Array {
  if (variant !== "road_4") return values;
  return values.map((_, i) => values[i - (i % 4) + [0, 3, 1, 2][i % 4]!]!);
}

async function run(
  spec: ProgramSpec,
  feeds: Record<string, HostTensor>,
): Promise<(name: string) => Float32Array> {
  const program = await engine.compile(spec);
  const into = Object.fromEntries(
    Object.entries(spec.outputs).map(([name, { shape }]) => [
      name,
      zeros("float32", evaluateShape(shape, {})),
    ]),
  );
  await program.run(feeds, into);
  await program.release();
  return (name) => into[name]!.data;
}

describe("RoAd on one linear layer", async () => {
  const tensors = await goldenTensors("road", "linear.safetensors");
  const tensor = (name: string): Float32Array => {
    const found = tensors.get(name);
    assert.ok(found, name);
    return found;
  };
  const [T, inFeatures, outFeatures] = [6, 10, 24];
  const spec = linearSite("proj", inFeatures, outFeatures);
  const given = {
    x: hostTensor("float32", [T, inFeatures], tensor("x")),
    target: hostTensor("float32", [T, outFeatures], tensor("target")),
    weight: hostTensor("float32", [outFeatures, inFeatures], tensor("weight")),
    bias: hostTensor("float32", [outFeatures], tensor("bias")),
  };

  /** Output, gradients of the mean square error, and merged weights. */
  function layer(layout: RoadLayout, feeds: Readonly<Record<string, HostTensor>>): ProgramSpec {
    const graph = new Graph();
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { dtype, shape }]) => [name, graph.input(name, dtype, shape)]),
    );
    const { x, target, weight, bias, ...own } = inputs as Record<string, Value>;
    const site = {
      spec,
      project: (value: Value) => linear(value, weight!, bias!),
      save: (_name: string, value: Value) => value,
    } as unknown as SiteGraph;
    const y = road.adapt(site, x!, own, layout);
    const error = sub(y, target!);
    const loss = reduceMean(mul(error, error), [0, 1]);
    const seed = graph.constant("float32", [1, 1], Float32Array.of(1));
    const wrt = { x: x!, ...own };
    const found = gradients([{ value: loss, gradient: seed }], Object.values(wrt));
    const derivatives = Object.keys(wrt).map((name, i) => [`d.${name}`, found[i]!]);
    assert.ok(road.merge !== "not-mergeable");
    const merged = road.merge.graph({ weight: weight!, bias: bias! }, own, spec, layout);
    return {
      name: "road",
      inputs,
      outputs: {
        y,
        ...Object.fromEntries(derivatives),
        weight_: merged.weight,
        bias_: merged.bias!,
      },
    };
  }

  const stored = (theta: Float32Array, alpha: Float32Array): Record<string, HostTensor> => ({
    road_theta: hostTensor("float32", [theta.length], theta),
    road_alpha: hostTensor("float32", [alpha.length], alpha),
  });

  for (const variant of VARIANTS) {
    const layout = { variant, width: outFeatures, groupSize: 2, pairs: "all", positions: "all" } as const;
    const parameter = (name: string): Float32Array => toStored(tensor(`${variant}/${name}`), variant);

    test(`${variant}: output, gradients and merged weights with neighbours as pairs`, async () => {
      const feeds = { ...given, ...stored(parameter("param.theta"), parameter("param.alpha")) };
      const result = await run(layer(layout, feeds), feeds);
      assertRelative(result("y"), tensor(`${variant}/y`), 1e-5, "y");
      for (const name of ["theta", "alpha"]) {
        assertRelative(result(`d.road_${name}`), parameter(`grad.${name}`), 1e-4, `gradient of ${name}`);
      }
      assertRelative(result("d.x"), tensor(`${variant}/grad.x`), 1e-4, "gradient of x");
      assertRelative(result("weight_"), tensor(`${variant}/init_merged`), 1e-6, "merged weight");
      assertRelative(result("bias_"), tensor(`${variant}/init_merged_bias`), 1e-6, "merged bias");
    });

    test(`${variant}: PEFT's pairing in groups of 2, 8 and 24`, async () => {
      for (const groupSize of [2, 8, 24]) {
        const prefix = `${variant}/peft.g${groupSize}`;
        const feeds = {
          ...given,
          ...stored(tensor(`${prefix}.road_theta`), tensor(`${prefix}.road_alpha`)),
        };
        const result = await run(layer({ ...layout, groupSize }, feeds), feeds);
        assertRelative(result("y"), tensor(`${prefix}.y`), 1e-5, `y in groups of ${groupSize}`);
      }
    });

    test(`${variant}: the inverse of the blocks takes a merged weight back`, async () => {
      const { c, s } = coefficientsOf(parameter("param.theta"), parameter("param.alpha"), layout);
      const partner = (values: Float32Array, k: number): number => values[k ^ 1]!;
      const determinant = c.map((value, k) => value * partner(c, k) + s[k]! * partner(s, k));
      const back = {
        c: c.map((_, k) => partner(c, k) / determinant[k]!),
        s: s.map((value, k) => -value / determinant[k]!),
      };
      // A block's first row is (c, -s), its second (s, c).
      const blocks = Float32Array.from({ length: 2 * outFeatures }, (_, i) => {
        const row = Math.floor(i / 2);
        const onDiagonal = row % 2 === i % 2;
        return onDiagonal ? back.c[row]! : (row % 2 === 0 ? -1 : 1) * back.s[row]!;
      });
      assertRelative(blocks, tensor(`${variant}/inverse_blocks`), 1e-5, "inverse");
      const graph = new Graph();
      const merged = graph.input("merged", "float32", [outFeatures, inFeatures]);
      const [cosines, sines] = ["c", "s"].map((name) => graph.input(name, "float32", [outFeatures]));
      const turned = rotatePairs(transpose(merged, [1, 0]), cosines as Value, sines as Value, 2);
      const result = await run(
        {
          name: "unmerge",
          inputs: { merged, c: cosines as Value, s: sines as Value },
          outputs: { weight: transpose(turned, [1, 0]) },
        },
        {
          merged: hostTensor("float32", [outFeatures, inFeatures], tensor(`${variant}/init_merged`)),
          c: hostTensor("float32", [outFeatures], back.c),
          s: hostTensor("float32", [outFeatures], back.s),
        },
      );
      assertRelative(result("weight"), tensor("weight"), 1e-5, "weight");
    });
  }
});

describe("RoAd on all projections of a tiny Llama", async () => {
  interface Curve {
    readonly lr: number;
    readonly loss: number;
    readonly curve: readonly number[];
    readonly final_loss: number;
  }
  const curves = goldenJson<Record<RoadVariant, Curve>>("road", "llama.json");
  const rows = goldenJson<{ input_ids: number[][][]; labels: number[][][] }>("road", "llama-batches.json");
  const tensors = await goldenTensors("road", "llama.safetensors");
  const { base } = await openUntilEnd(goldenPath("models", "tiny-llama"));
  const batches = rows.input_ids.map((ids, k) => batchFromRows({ input_ids: ids, labels: rows.labels[k]! }));

  for (const variant of VARIANTS) {
    const golden = curves[variant];
    const expected = (what: string, name: string): Float32Array =>
      toStored(tensors.get(`${variant}/${what}.${name.replace("road_", "")}`)!, variant);
    const start = async () => {
      const adapter = await attachTo(base, road, { variant, groupSize: 2 });
      for (const { name } of adapter.parameters) adapter.tensor(name)?.data.set(expected("param", name));
      return adapter;
    };

    test(`${variant}: a fresh adapter gives the base's logits bit for bit`, async () => {
      const adapter = await attachTo(base, road, { variant, groupSize: 2 });
      const [fresh, plain] = [
        await logitsOf(engine, base, adapter, batches[0]!),
        await logitsOf(engine, base, null, batches[0]!),
      ];
      assert.deepEqual(fresh, plain);
    });

    test(`${variant}: logits, loss and gradients`, async () => {
      const [adapter, batch] = [await start(), batches[0]!];
      const logits = await logitsOf(engine, base, adapter, batch);
      assertRelative(logits, tensors.get(`${variant}/y`)!, 1e-5, "logits");
      const { loss, gradients: found } = await lossAndGradients(engine, base, adapter, [batch]);
      assertNear(loss, golden.loss, 2e-5, "loss");
      for (const [name, gradient] of found) {
        assertRelative(gradient, expected("grad", name), 1e-4, `gradient of ${name}`);
      }
      assert.equal(found.size, 28);
    });

    test(`${variant}: ten steps of training`, async () => {
      const adapter = await start();
      const session = new Session(engine, base);
      const steps = await StepRunner.create({ session, adapter, recompute: false, seed: 0 });
      const adamw = findOptimizer("adamw");
      const updater = await createUpdater(engine, adamw, adamw.options.parse({}), adapter.groups);
      for (const [k, batch] of batches.entries()) {
        steps.gradients.begin();
        const lossSum = await accumulateLoss(steps, batch, 1 / batch.numLabels, k, 0);
        steps.gradients.finish();
        assertNear(lossSum / batch.numLabels, golden.curve[k]!, 1e-4, `loss of step ${k}`);
        await updater.step({
          gradients: steps.gradients.groups,
          gradientScale: 1,
          learningRate: golden.lr,
          weightDecay: 0,
        });
      }
      await steps.release();
      await session.release();
      await updater.release();
      const { loss } = await lossAndGradients(engine, base, adapter, batches.slice(0, 1));
      assertNear(loss, golden.final_loss, 1e-4, "loss after training");
      for (const { name } of adapter.parameters) {
        assertRelative(adapter.tensor(name)!.data, expected("final", name), 1e-3, name);
      }
    });
  }
});

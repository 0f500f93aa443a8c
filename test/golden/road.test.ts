/** @file RoAd against a PyTorch implementation of the paper in float64, in the paper's pairing and in PEFT's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { rotatePairs } from "../../src/graph/ops/products/rotate-pairs.ts";
import { transpose } from "../../src/graph/ops/shapes/transpose.ts";
import type { RoadVariant } from "../../src/peft/methods/road/coefficients.ts";
import { coefficientsOf } from "../../src/peft/methods/road/numbers.ts";
import { road } from "../../src/peft/methods/road.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, logitsOf, lossAndGradients, trainSteps } from "../passes/model-passes.ts";
import { linearSite } from "../tiny/sites.ts";
import {
  assertNear,
  assertRelative,
  goldenJson,
  goldenPath,
  goldenTensor,
  goldenTensors,
} from "./golden-files.ts";
import { layerMerge, layerStep, runOnce } from "./layer.ts";
import { llamaBatches } from "./golden-model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const VARIANTS = ["road_1", "road_2", "road_4"] as const;
const engine = createEngine({ threads: 1 });

/**
 * Values of the paper's blocks as they are stored with groups of 2: for road_4 a block has its entries 11, 12, 21, 22,
 * and the diagonal is stored first.
 */
function toStored(values: Float32Array, variant: RoadVariant): Float32Array {
  if (variant !== "road_4") return values;
  return values.map((_, i) => values[i - (i % 4) + [0, 3, 1, 2][i % 4]!]!);
}

describe("RoAd on one linear layer", async () => {
  const tensor = await goldenTensor("road", "linear.safetensors");
  const [T, inFeatures, outFeatures] = [6, 10, 24];
  const spec = linearSite("proj", inFeatures, outFeatures);
  const given = {
    x: hostTensor("float32", [T, inFeatures], tensor("x")),
    target: hostTensor("float32", [T, outFeatures], tensor("target")),
    weight: hostTensor("float32", [outFeatures, inFeatures], tensor("weight")),
    bias: hostTensor("float32", [outFeatures], tensor("bias")),
  };

  const stored = (theta: Float32Array, alpha: Float32Array): Record<string, HostTensor> => ({
    road_theta: hostTensor("float32", [theta.length], theta),
    road_alpha: hostTensor("float32", [alpha.length], alpha),
  });

  for (const variant of VARIANTS) {
    const layout = { variant, width: outFeatures, groupSize: 2, pairs: "all", positions: "all" } as const;
    const parameter = (name: string): Float32Array => toStored(tensor(`${variant}/${name}`), variant);

    test(`${variant}: output, gradients and merged weights with neighbours as pairs`, async () => {
      const feeds = { ...given, ...stored(parameter("param.theta"), parameter("param.alpha")) };
      const result = await runOnce(engine, layerStep(road, spec, layout, T), feeds);
      assertRelative(result("y"), tensor(`${variant}/y`), 1e-5, "y");
      for (const name of ["theta", "alpha"]) {
        assertRelative(result(`d.road_${name}`), parameter(`grad.${name}`), 1e-4, `gradient of ${name}`);
      }
      assertRelative(result("d.x"), tensor(`${variant}/grad.x`), 1e-4, "gradient of x");
      const merged = await runOnce(engine, layerMerge(road, spec, layout), feeds);
      assertRelative(merged("merged"), tensor(`${variant}/init_merged`), 1e-6, "merged weight");
      assertRelative(merged("merged.bias"), tensor(`${variant}/init_merged_bias`), 1e-6, "merged bias");
    });

    test(`${variant}: PEFT's pairing in groups of 2, 8 and 24`, async () => {
      for (const groupSize of [2, 8, 24]) {
        const prefix = `${variant}/peft.g${groupSize}`;
        const feeds = {
          ...given,
          ...stored(tensor(`${prefix}.road_theta`), tensor(`${prefix}.road_alpha`)),
        };
        const result = await runOnce(engine, layerStep(road, spec, { ...layout, groupSize }, T), feeds);
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
      const result = await runOnce(
        engine,
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
  const tensors = await goldenTensors("road", "llama.safetensors");
  const { base } = await openUntilEnd(goldenPath("models", "tiny-llama"));
  const batches = llamaBatches();

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
      const losses = await trainSteps(engine, base, adapter, batches, { learningRate: golden.lr });
      for (const [k, found] of losses.entries())
        assertNear(found, golden.curve[k]!, 1e-4, `loss of step ${k}`);
      const { loss } = await lossAndGradients(engine, base, adapter, batches.slice(0, 1));
      assertNear(loss, golden.final_loss, 1e-4, "loss after training");
      for (const { name } of adapter.parameters) {
        assertRelative(adapter.tensor(name)!.data, expected("final", name), 1e-3, name);
      }
    });
  }
});

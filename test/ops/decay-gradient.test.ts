/** @file Gradients of the decays of linear attention are as precise in a long row as in a short one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../../src/graph/graph.ts";
import { linearAttentionGradientOp } from "../../src/graph/ops/linear-attention/linear-attention.ts";
import { knownShape } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { zeros } from "../../src/runtime/host-tensor.ts";
import type { Array64 } from "./array64.ts";
import { drawInputs, toHost } from "./host-arrays.ts";
import { linearAttentionGradientSuite } from "./linear-attention.ts";
import { float, normal, uniform } from "./op-suite.ts";

const [T, H, WIDTH] = [2500, 1, 4];
const engine = createEngine({ threads: 1 });

/** Σ g dg: what the rate at which a head forgets gets, which all its tokens share. */
const ofRate = (g: Array64, dg: ArrayLike<number>): number =>
  g.data.reduce((sum, one, i) => sum + one * dg[i]!, 0);

for (const [name, rates] of [
  ["values that are added", []],
  ["the delta rule", [float([1, T, H], uniform(0, 1))]],
] as const)
  test(`${name}: what ${T} tokens that forget much give to a decay is float64's but for 1e-5`, async () => {
    const wide = float([1, T, H * WIDTH], normal(0.7));
    const specs = [wide, wide, wide, wide, float([1, T, H], uniform(-8, -2)), ...rates];
    const drawn = drawInputs(specs, {}, 3);
    const graph = new Graph();
    const inputs = specs.map(({ shape }, i) => graph.input(`x${i}`, "float32", shape));
    const [dO, q, k, v, g, ...b] = inputs;
    const [, , , dg] = graph.apply(linearAttentionGradientOp, [dO!, q!, k!, v!, g!, ...b], {});
    const program = await engine.compile({
      name: "decays",
      inputs: Object.fromEntries(inputs.map((value, i) => [`x${i}`, value])),
      outputs: { dg },
    });
    const found = zeros("float32", knownShape(dg.shape));
    await program.run(Object.fromEntries(drawn.map((x, i) => [`x${i}`, toHost("float32", x)])), {
      dg: found,
    });
    await program.release();
    const decays = drawn[4]!;
    const expected = ofRate(decays, linearAttentionGradientSuite.reference(drawn, {}, {})[3]!.data);
    const error = Math.abs(ofRate(decays, found.data) / expected - 1);
    assert.ok(error < 1e-5, `${error}`);
  });

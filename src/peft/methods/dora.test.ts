import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph, type Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { neededInputs } from "../../graph/program.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import { linear } from "../../nn/linear.ts";
import { Random } from "../../random.ts";
import { hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { numElements } from "../../graph/shape.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { dora } from "./dora.ts";
import { linearSite } from "../../../test/tiny/sites.ts";

const [ROWS, IN, OUT, RANK, SCALE] = [3, 4, 5, 2, 1.5];
const SHAPES = {
  x: [ROWS, IN],
  mask: [ROWS, IN],
  weight: [OUT, IN],
  bias: [OUT],
  "lora_A.weight": [RANK, IN],
  "lora_B.weight": [OUT, RANK],
  lora_magnitude_vector: [OUT],
} as const;

test("dora drops inputs in what it adds to the base, and in nothing else", async () => {
  const graph = new Graph();
  const values = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [name, graph.input(name, "float32", shape)]),
  ) as Record<keyof typeof SHAPES, Value>;
  const { x, mask, weight, bias, ...parameters } = values;
  const site: SiteGraph = {
    spec: linearSite("proj", IN, OUT),
    weight,
    bias,
    project: (value) => linear(value, weight, bias),
    input: () => assert.fail(),
    inputOfStack: () => assert.fail(),
    inputOfTied: () => assert.fail(),
    dropout: (value) => mul(value, mask),
    context: () => assert.fail(),
    save: (_, value) => value,
  };
  const y = dora.adapt(site, x, parameters, { rank: RANK, scale: SCALE, dropout: 0.5, init: "default" });
  const engine = createEngine({ threads: 1 });
  const inputs = neededInputs({ y }, values);
  const program = await engine.compile({ name: "dora", inputs, outputs: { y } });
  const random = new Random(1);
  const feeds = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => {
      const draw = (): number => (name === "mask" ? 2 * random.integer(2) : random.normal());
      return [name, hostTensor("float32", shape, Float32Array.from({ length: numElements(shape) }, draw))];
    }),
  );
  const into = { y: zeros("float32", [ROWS, OUT]) };
  await program.run(feeds, into);
  await program.release();

  const at = (name: keyof typeof SHAPES, row: number, column: number): number =>
    feeds[name]!.data[row * (SHAPES[name][1] ?? 1) + column]!;
  const update = (out: number, k: number): number =>
    SCALE *
    (at("lora_B.weight", out, 0) * at("lora_A.weight", 0, k) +
      at("lora_B.weight", out, 1) * at("lora_A.weight", 1, k));
  const columns = Array.from({ length: IN }, (_, k) => k);
  for (let row = 0; row < ROWS; row++) {
    for (let out = 0; out < OUT; out++) {
      const length = Math.hypot(...columns.map((k) => at("weight", out, k) + update(out, k)));
      const gain = at("lora_magnitude_vector", out, 0) / length;
      const expected = columns.reduce(
        (sum, k) => {
          const [w, whole, kept] = [
            at("weight", out, k),
            at("x", row, k),
            at("x", row, k) * at("mask", row, k),
          ];
          return sum + w * whole + (gain - 1) * w * kept + gain * update(out, k) * kept;
        },
        at("bias", out, 0),
      );
      const found = into.y.data[row * OUT + out]!;
      assert.ok(Math.abs(found - expected) < 1e-5, `y[${row}, ${out}] is ${found}, expected ${expected}`);
    }
  }
});

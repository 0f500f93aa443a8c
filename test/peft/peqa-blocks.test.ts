/** @file PEQA's product with bound blocks of codes is that with the weight, whatever bits, groups and zeros the codes have. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Graph, type Value } from "../../src/graph/graph.ts";
import type { SiteGraph } from "../../src/models/graphs/site-graph.ts";
import { linear } from "../../src/nn/linear.ts";
import { BLOCKS, projectBlocks, toBlocks } from "../../src/peft/methods/peqa/blocks.ts";
import { CODES, FACTOR, weightOfCodes, ZERO } from "../../src/peft/methods/peqa/codes.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import type { SitePlace } from "../../src/peft/sites/site.ts";
import type { AffineFormat } from "../../src/quant/affine/affine.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { quantizeTo } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { linearSite } from "../tiny/sites.ts";

const engine = createEngine({ threads: 1 });
const [inFeatures, outFeatures] = [192, 40];
const spec = linearSite("proj", inFeatures, outFeatures);

function draw(shape: number[], seed: number): HostTensor<"float32"> {
  const random = new Random(seed);
  const tensor = zeros("float32", shape);
  return hostTensor(
    "float32",
    shape,
    tensor.data.map(() => random.normal()),
  );
}

/** Computes the site's output for two tasks' scales, with what is frozen fed, and with blocks bound. */
async function outputs(storage: StorageName, raw: object, numTokens: number) {
  const place: SitePlace = { path: "proj", spec, storage, groupSize: null, sites: [spec] };
  const options = peqa.configure(peqa.options.parse(raw))(place);
  const weight = draw([outFeatures, inFeatures], 1);
  const trained = Object.fromEntries(
    peqa.trained.specs(spec, options).map(({ suffix, shape }) => [suffix, zeros("float32", [...shape])]),
  );
  const frozen = await peqa.frozen.freeze(
    {
      ...place,
      tensors: trained,
      weight: async () => weight.data,
      stored: async () => quantizeTo(storage, weight.data, [outFeatures, inFeatures]),
      shareOnBase: async (_key, make) => make(),
    },
    options,
  );
  const bound = peqa.frozen.bound(spec, options);
  assert.ok(bound);
  const blocks = bound.make(frozen[bound.of] as HostTensor);
  assert.deepEqual([blocks.dtype, blocks.shape], [bound.spec.dtype, bound.spec.shape]);

  const { [bound.of]: _codes, ...others } = frozen;
  const run = async (tensors: Record<string, HostTensor>, constants: Record<string, HostTensor>) => {
    const graph = new Graph();
    const inputs: Record<string, Value> = {};
    const input = (name: string, { dtype, shape }: Pick<HostTensor, "dtype" | "shape">): Value =>
      (inputs[name] = graph.input(name, dtype, shape));
    const x = draw([numTokens, inFeatures], 2);
    const bias = draw([outFeatures], 3);
    const values = Object.fromEntries(
      Object.entries({ ...tensors, ...constants }).map(([name, tensor]) => [name, input(name, tensor)]),
    );
    const site = { spec, bias: input("bias", bias) } as unknown as SiteGraph;
    const y = peqa.adapt(site, input("x", x), values, options);
    const program = await engine.compile({ name: "proj", inputs, outputs: { y } }, { constants });
    const results = [];
    for (const factor of [1, -2]) {
      const scaled = Object.fromEntries(
        Object.entries(trained).map(([name, { shape, data }]) => [
          name,
          hostTensor(
            "float32",
            shape,
            data.map((value, i) => value * (factor + (i % 5))),
          ),
        ]),
      );
      const into = zeros("float32", [numTokens, outFeatures]);
      await program.run({ ...tensors, ...scaled, x, bias }, { y: into });
      results.push(into.data);
    }
    await program.release();
    return results;
  };
  return {
    fed: await run({ ...trained, ...frozen }, {}),
    bound: await run({ ...trained, ...others }, { [bound.spec.suffix]: blocks }),
  };
}

const CASES: readonly (readonly [StorageName, object])[] = [
  ...[2, 3, 4].flatMap((bits) =>
    [0, 32, 96].map((groupSize) => ["f32", { bits, groupSize, init: "rtn" }] as const),
  ),
  ...[0, 32].map((groupSize) => ["f32", { groupSize, init: "rtn", scales: "row" }] as const),
  ...(["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"] as const).map((kind) => [kind, {}] as const),
];

describe("the product with bound blocks", () => {
  for (const [storage, options] of CASES) {
    test(`of ${storage} ${JSON.stringify(options)}`, async () => {
      for (const numTokens of [1, 7]) {
        const { fed, bound } = await outputs(storage, options, numTokens);
        for (const [task, expected] of fed.entries()) {
          const size = Math.max(...expected.map(Math.abs));
          assert.ok(size > 0);
          const apart = Math.max(...expected.map((value, i) => Math.abs(value - bound[task]![i]!)));
          assert.ok(apart <= 1e-5 * size, `${apart} of ${size} apart, ${numTokens} tokens, task ${task}`);
        }
      }
    });
  }

  test("of codes with factors inside a group, with zeros of theirs and without", async () => {
    const factor = { groupSize: 32, dtype: "uint8", typical: 1 } as const;
    for (const zero of ["float32", 0] as const) {
      const format: AffineFormat = { bits: 4, codes: "uint8", groupSize: 96, zero, factor };
      const bytes = (shape: number[], below: number): HostTensor<"uint8"> => {
        const random = new Random(below);
        const tensor = zeros("uint8", shape);
        tensor.data.forEach((_, i) => (tensor.data[i] = random.integer(below)));
        return tensor;
      };
      const codes = bytes([outFeatures, inFeatures / 2], 256);
      const tensors: Record<string, HostTensor> = {
        [FACTOR]: bytes([outFeatures, 6], 64),
        ...(zero === 0 ? {} : { [ZERO]: draw([outFeatures, 6], 3) }),
        scale: draw([outFeatures, 2], 4),
        x: draw([3, inFeatures], 5),
      };
      const run = async (own: Record<string, HostTensor>, constants: Record<string, HostTensor>) => {
        const graph = new Graph();
        const all = Object.entries({ ...tensors, ...own, ...constants });
        const inputs = Object.fromEntries(
          all.map(([name, { dtype, shape }]): [string, Value] => [name, graph.input(name, dtype, shape)]),
        );
        const { x, scale } = inputs as { x: Value; scale: Value };
        const y =
          BLOCKS in inputs
            ? projectBlocks(x, scale, inputs, { ...spec, format })
            : linear(x, weightOfCodes(spec, inputs, scale, format), null);
        const program = await engine.compile({ name: "proj", inputs, outputs: { y } }, { constants });
        const into = zeros("float32", [3, outFeatures]);
        await program.run({ ...tensors, ...own }, { y: into });
        await program.release();
        return into.data;
      };
      const expected = await run({ [CODES]: codes }, {});
      const found = await run({}, { [BLOCKS]: toBlocks(codes, { ...spec, format }) });
      const size = Math.max(...expected.map(Math.abs));
      const apart = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
      assert.ok(size > 0 && apart <= 1e-5 * size, `${apart} of ${size} apart`);
    }
  });

  test("is not there where groups are not made of blocks of 32", () => {
    const place: SitePlace = { path: "proj", spec, storage: "f32", groupSize: null, sites: [spec] };
    const boundOf = (groupSize: number) =>
      peqa.frozen.bound(spec, peqa.configure(peqa.options.parse({ groupSize }))(place));
    assert.equal(boundOf(16), null);
    assert.equal(boundOf(48), null);
    assert.notEqual(boundOf(64), null);
  });
});

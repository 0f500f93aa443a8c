/** @file Every model family: its tiny model, chunks of attention, packing, padding, a cache, the use of each tensor. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { toBatch } from "../../src/data/batch.ts";
import type { Example } from "../../src/data/example.ts";
import { Generator } from "../../src/engine/generator.ts";
import { openTextModel } from "../../src/engine/text-model.ts";
import { loadModel } from "../../src/format/checkpoint/load-model.ts";
import { modelTensors } from "../../src/models/architecture.ts";
import { ARCHITECTURES, findArchitecture } from "../../src/models/architectures.ts";
import { full } from "../../src/peft/methods/full.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import type { Value } from "../../src/graph/graph.ts";
import { Random } from "../../src/random.ts";
import { createOrtEngine } from "../../src/runtime/ort-node.ts";
import {
  type Feeds,
  blockProgram,
  buildBlock,
  contextFeeds,
  normalArray,
  weightFeeds,
} from "../block-reference.ts";
import { evaluate } from "../evaluator.ts";
import { attachTo, examplesFor, logitsOf, lossAndGradients, unpacked } from "../model-passes.ts";
import { type Array64, build } from "../ops/array64.ts";
import { TINY_CONFIGS, temporaryFolder, writeTinyModel } from "../tiny-model.ts";

const engine = createOrtEngine({ threads: 1 });
const folder = temporaryFolder();

/** Rows `from` to `to` of axis 1. */
function cutRows({ shape, data }: Array64, from: number, to: number): Array64 {
  const [B, T, ...rest] = shape as [number, number, ...number[]];
  const width = rest.reduce((product, n) => product * n, 1);
  const rows = Array.from({ length: B }, (_, b) => [
    ...data.subarray((b * T + from) * width, (b * T + to) * width),
  ]);
  return { shape: [B, to - from, ...rest], data: Float64Array.from(rows.flat()) };
}

function assertClose(actual: Array64, expected: Array64, tolerance: number, what: string): void {
  assert.deepEqual(actual.shape, expected.shape, what);
  for (const [i, value] of expected.data.entries()) {
    const apart = Math.abs((actual.data[i] as number) - value);
    assert.ok(apart <= tolerance, `${what}[${i}] is ${actual.data[i]}, expected ${value}`);
  }
}

for (const architecture of ARCHITECTURES) {
  const { modelType } = architecture;
  describe(`model family ${modelType}`, async () => {
    assert.ok(
      TINY_CONFIGS[modelType],
      `Cannot test ${modelType}: test/tiny-model.ts has no configuration for it`,
    );
    const { base, checkpoint } = await loadModel(
      await writeTinyModel(`${folder}/${modelType}`, { modelType }),
    );
    after(() => checkpoint.close());
    const examples = examplesFor(base.config, [8, 5, 6, 3]);
    const readsTokens = architecture.stem.reads === "tokens";
    const needsTokens = readsTokens ? {} : { skip: "it reads images, one a row" };
    const needsOrder = base.config.causal ? {} : { skip: "every position sees all others" };

    test("each tensor of a checkpoint has one name, and every one of them has an effect", async () => {
      const specs = modelTensors(architecture, base.config);
      assert.equal(new Set(specs.map((spec) => spec.name)).size, specs.length);
      const { gradients: all } = await lossAndGradients(engine, base, await attachTo(base, full), [
        unpacked(examples),
      ]);
      assert.deepEqual([...all.keys()].sort(), specs.map((spec) => spec.name).sort());
      for (const [name, gradient] of all) {
        assert.ok(
          gradient.some((value) => value !== 0),
          `${name} has no effect`,
        );
      }
    });

    test("attention in several chunks of queries equals one chunk, forward and backward", async () => {
      const random = new Random(2);
      const [B, T] = [2, 8];
      const x = normalArray([B, T, base.config.width], random);
      const dy = normalArray([B, T, base.config.width], random);
      const weights = await weightFeeds(base, null, 0, buildBlock(base, null, 0));
      const results = [
        { length: 8, count: 1 },
        { length: 3, count: 3 },
        { length: 4, count: 2 },
      ].map((chunk) => {
        const block = buildBlock(base, null, 0, { chunk });
        const seed = block.graph.input("dy", "float32", block.y.shape);
        const [dx] = gradients([{ value: block.y, gradient: seed }], [block.x]);
        const feeds: Feeds = {
          x,
          dy,
          ...contextFeeds(base, B, T),
          ...weights,
        };
        const spec = blockProgram(block, { y: block.y, dx: dx as Value }, { dy: seed });
        return evaluate(spec, feeds, { B, T });
      });
      for (const each of results.slice(1)) {
        assertClose(each["y"] as Array64, results[0]?.["y"] as Array64, 1e-12, "y");
        assertClose(each["dx"] as Array64, results[0]?.["dx"] as Array64, 1e-12, "dx");
      }
    });

    test(
      "a block that reads cached keys and values gives what the whole sequence gives",
      needsOrder,
      async () => {
        const [P, T] = [5, 3];
        const x = normalArray([1, P + T, base.config.width], new Random(3));
        const whole = buildBlock(base, null, 0);
        const weights = await weightFeeds(base, null, 0, whole);
        const outputs = { y: whole.y, key: whole.newKey, value: whole.newValue };
        const all = evaluate(
          blockProgram(whole, outputs),
          { x, ...contextFeeds(base, 1, P + T), ...weights },
          { B: 1, T: P + T },
        );
        const cached = buildBlock(base, null, 0, { cached: true });
        const feeds: Feeds = {
          ...contextFeeds(base, 1, P + T),
          x: cutRows(x, P, P + T),
          positions: { shape: [1, T], data: Float64Array.from({ length: T }, (_, t) => P + t) },
          mask: build([1, 1, T, P + T], ([, , t, s]) => ((s as number) <= P + (t as number) ? 0 : -1e9)),
          past_key: cutRows(all["key"] as Array64, 0, P),
          past_value: cutRows(all["value"] as Array64, 0, P),
          ...weights,
        };
        const part = evaluate(
          blockProgram(cached, { y: cached.y, key: cached.newKey, value: cached.newValue }),
          feeds,
          { B: 1, T, P },
        );
        for (const name of ["y", "key", "value"]) {
          assertClose(part[name] as Array64, cutRows(all[name] as Array64, P, P + T), 1e-12, name);
        }
      },
    );

    test("packed rows give the loss and gradients of one example a row", needsTokens, async () => {
      const adapter = await attachTo(base, full);
      const apart = await lossAndGradients(engine, base, adapter, [unpacked(examples)]);
      const pick = (...indexes: number[]) => indexes.flatMap((i) => examples[i] ?? []);
      for (const rows of [[pick(0, 1, 2, 3)], [pick(2, 0), pick(3, 1)]]) {
        const packed = await lossAndGradients(engine, base, adapter, [toBatch(rows)]);
        assert.ok(Math.abs(packed.loss - apart.loss) < 2e-6, `${packed.loss}, unpacked ${apart.loss}`);
        for (const [name, gradient] of apart.gradients) {
          const own = packed.gradients.get(name) as Float32Array;
          const size = Math.max(...gradient.map(Math.abs));
          const difference = Math.max(...gradient.map((g, i) => Math.abs(g - (own[i] as number))));
          assert.ok(difference <= 1e-5 * size, `${name}: ${difference} of ${size}`);
        }
      }
    });

    test("a row of a batch, padded where rows are of unlike length, gives the logits of the row alone", async () => {
      const { vocabSize } = base.config;
      const batch = toBatch(
        examples.map((example) => [example]),
        readsTokens ? 11 : undefined,
      );
      const together = await logitsOf(engine, base, null, batch);
      for (const [row, example] of examples.entries()) {
        const alone = await logitsOf(engine, base, null, toBatch([[example]]));
        const from = row * batch.length * vocabSize;
        for (const [i, value] of alone.entries()) {
          assert.ok(Math.abs(value - (together[from + i] as number)) < 1e-5, `row ${row}`);
        }
      }
    });

    test("later tokens do not change earlier logits", { ...needsTokens, ...needsOrder }, async () => {
      const example = examples[0] as Example;
      const longer = await logitsOf(engine, base, null, toBatch([[example]]));
      const shorter = { ...example, ids: example.ids.slice(0, 4), trained: example.trained.slice(0, 4) };
      const start = await logitsOf(engine, base, null, toBatch([[shorter]]));
      for (const [i, value] of start.entries()) assert.ok(Math.abs(value - (longer[i] as number)) < 1e-5);
    });

    test("it writes text exactly if it reads tokens", async () => {
      const open = async () => (await openTextModel(`${folder}/${modelType}`, { threads: 1 })).close();
      const make = async () => (await Generator.create({ engine, base, adapter: null })).release();
      if (readsTokens) {
        await open();
        await make();
        return;
      }
      const refusal = { code: "usage/model", message: /Cannot write text .*reads images, expected tokens/ };
      await assert.rejects(open, refusal);
      await assert.rejects(make, refusal);
    });

    test("readConfig() names each value that it cannot use", () => {
      const raw = { ...TINY_CONFIGS[modelType], hidden_size: -1, num_hidden_layers: "two" };
      assert.throws(() => architecture.readConfig(raw), {
        code: "usage/model",
        message: /hidden_size is -1 .*num_hidden_layers is "two"/,
      });
    });
  });
}

test("findArchitecture() names the family that it does not know and those that it does", () => {
  for (const architecture of ARCHITECTURES) {
    assert.equal(findArchitecture({ model_type: architecture.modelType }), architecture);
  }
  assert.throws(() => findArchitecture({ model_type: "lama" }), {
    code: "usage/model",
    message: /Cannot use model type "lama": expected .*"llama"/,
  });
});

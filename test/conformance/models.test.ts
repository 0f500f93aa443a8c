/** @file Every model family: its tiny model, chunks of attention, packing, padding, a cache, the use of each tensor. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Batch, toBatch } from "../../src/data/batches/batch.ts";
import type { Example } from "../../src/data/examples/example.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { FAMILIES, findFamily, openModel } from "../../src/models/families.ts";
import { PLAIN_PART } from "../../src/models/graphs/part-options.ts";
import { Session } from "../../src/run/session.ts";
import { full } from "../../src/peft/methods/full.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import {
  type Feeds,
  blockProgram,
  buildBlock,
  contextFeeds,
  normalArray,
  weightFeeds,
} from "../reference/block-reference.ts";
import { evaluate } from "../reference/evaluator.ts";
import { attachTo, examplesFor, logitsOfEach, lossAndGradients, openPasses } from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { type Array64, build } from "../ops/array64.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
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

const zeros64 = (shape: readonly number[]): Array64 => build(shape, () => 0);

function assertClose(actual: Array64, expected: Array64, tolerance: number, what: string): void {
  assert.deepEqual(actual.shape, expected.shape, what);
  for (const [i, value] of expected.data.entries()) {
    const apart = Math.abs(actual.data[i]! - value);
    assert.ok(apart <= tolerance, `${what}[${i}] is ${actual.data[i]}, expected ${value}`);
  }
}

/** Types of tokens as if each row had a pair of texts, so that both types are seen. */
function secondHalves({ segments, length }: Batch): Int32Array {
  return segments.map((_, at) => (at % length < length / 2 ? 0 : 1));
}

for (const family of FAMILIES) {
  const { modelType } = family;
  describe(`model family ${modelType}`, async () => {
    assert.ok(
      TINY_CONFIGS[modelType],
      `Cannot test ${modelType}: test/tiny/configs.ts has no configuration for it`,
    );
    const { base } = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    const examples = examplesFor(base.model, [8, 5, 6, 3]);
    const apart = examples.map((example) => [example]);
    const readsTokens = base.model.image === null;
    const needsTokens = readsTokens ? {} : { skip: "it reads images, one a row" };
    const { attention, recent } = base.model.layers[0]!;
    const needsOrder = attention?.causal || recent ? {} : { skip: "every position sees all others" };

    test("each tensor of a checkpoint has one name, and every one of them has an effect", async () => {
      const specs = [...base.model.tensors.values()].filter(({ role }) => role !== "buffer");
      const { gradients: all } = await lossAndGradients(engine, base, await attachTo(base, full), [
        { ...toBatch(apart), tokenTypes: secondHalves(toBatch(apart)) },
      ]);
      assert.deepEqual([...all.keys()].sort(), specs.map((spec) => spec.name).sort());
      for (const [name, gradient] of all) {
        assert.ok(
          gradient.some((value) => value !== 0),
          `${name} has no effect`,
        );
      }
    });

    test("where files of a model without its head lack the first part of names, all are known without", () => {
      const prefix = `${base.model.blockPrefix(0).split(".")[0]}.`;
      const names = [...base.model.tensors.keys()].filter((name) => name.startsWith(prefix));
      const unknown = names.filter(
        (name) => base.model.checkpoint.rename(name.slice(prefix.length)) !== name,
      );
      if (unknown.length < names.length) assert.deepEqual(unknown, []);
    });

    test("attention in several chunks of queries equals one chunk, forward and backward", async () => {
      const random = new Random(2);
      const [B, T] = [2, 8];
      const x = normalArray([B, T, base.model.width], random);
      const dy = normalArray([B, T, base.model.width], random);
      const weights = await weightFeeds(base, null, 0, buildBlock(base, null, 0));
      const results = [
        { length: 8, count: 1 },
        { length: 3, count: 3 },
        { length: 4, count: 2 },
      ].map((chunk) => {
        const block = buildBlock(base, null, 0, { chunk });
        const seed = block.part.graph.input("dy", "float32", block.y.shape);
        const [dx] = gradients([{ value: block.y, gradient: seed }], [block.x]);
        const feeds: Feeds = {
          x,
          dy,
          ...contextFeeds(block, B, T),
          ...weights,
        };
        const spec = blockProgram(block, { y: block.y, dx: dx! }, { dy: seed });
        return evaluate(spec, feeds, { B, T });
      });
      for (const each of results.slice(1)) {
        assertClose(each["y"]!, results[0]!["y"]!, 1e-12, "y");
        assertClose(each["dx"]!, results[0]!["dx"]!, 1e-12, "dx");
      }
    });

    test(
      "a block that reads cached keys and values gives what the whole sequence gives",
      needsOrder,
      async () => {
        const [P, T] = [5, 3];
        const x = normalArray([1, P + T, base.model.width], new Random(3));
        const whole = buildBlock(base, null, 0);
        const weights = await weightFeeds(base, null, 0, whole);
        const rowsOf = ({ y, part: { cache } }: typeof whole) => ({
          y,
          key: cache!.outputs.newKey,
          value: cache!.outputs.newValue,
        });
        const firstKept = recent ? P - recent.count : 0;
        const all = evaluate(
          blockProgram(whole, rowsOf(whole)),
          { x, ...contextFeeds(whole, 1, P + T), ...weights },
          { B: 1, T: P + T },
        );
        const cached = buildBlock(base, null, 0, { cache: "tokens" });
        /** The states that the first P tokens leave, where the block keeps some. */
        const statesBefore = (): Feeds => {
          const { states } = cached.part;
          if (states.length === 0) return {};
          const nothing = recent ? zeros64([1, recent.count, recent.width / 2]) : cutRows(all["key"]!, 0, 0);
          const feeds: Feeds = {
            ...contextFeeds(cached, 1, P, 0),
            x: cutRows(x, 0, P),
            past_key: nothing,
            past_value: nothing,
            ...Object.fromEntries(states.map(({ name, shape }) => [`past_${name}`, zeros64([1, ...shape])])),
            ...weights,
          };
          const next = Object.fromEntries(states.map((state) => [`past_${state.name}`, state.next]));
          return evaluate(blockProgram(cached, next), feeds, { B: 1, T: P, P: 0 });
        };
        const feeds: Feeds = {
          ...contextFeeds(cached, 1, T, P),
          ...statesBefore(),
          x: cutRows(x, P, P + T),
          past_key: cutRows(all["key"]!, firstKept, P),
          past_value: cutRows(all["value"]!, firstKept, P),
          ...weights,
        };
        const part = evaluate(blockProgram(cached, rowsOf(cached)), feeds, { B: 1, T, P });
        for (const name of ["y", "key", "value"]) {
          assertClose(part[name]!, cutRows(all[name]!, P, P + T), 1e-12, name);
        }
      },
    );

    test("packed rows give the loss and gradients of one example a row", needsTokens, async () => {
      const passes = await openPasses(engine, base, await attachTo(base, full));
      const expected = await passes.lossAndGradients([toBatch(apart)]);
      const pick = (...indexes: number[]) => indexes.flatMap((i) => examples[i] ?? []);
      for (const rows of [[pick(0, 1, 2, 3)], [pick(2, 0), pick(3, 1)]]) {
        const packed = await passes.lossAndGradients([toBatch(rows)]);
        assert.ok(Math.abs(packed.loss - expected.loss) < 2e-6, `${packed.loss}, unpacked ${expected.loss}`);
        for (const [name, gradient] of expected.gradients) {
          const own = packed.gradients.get(name)!;
          const size = Math.max(...gradient.map(Math.abs));
          const difference = Math.max(...gradient.map((g, i) => Math.abs(g - own[i]!)));
          // What the softmax takes out again, as biases of keys where nothing is turned, has no gradient but rounding.
          assert.ok(difference <= 1e-5 * size + 5e-8, `${name}: ${difference} of ${size}`);
        }
      }
      await passes.release();
    });

    test("a row of a batch, padded where rows are of unlike length, gives the logits of the row alone", async () => {
      const { numOutputs } = base.model;
      const batch = toBatch(apart, readsTokens ? 11 : undefined);
      const batches = [batch, ...apart.map((row) => toBatch([row]))];
      const [together, ...all] = await logitsOfEach(engine, [base, null], batches);
      for (const [row, alone] of all.entries()) {
        const from = row * batch.length * numOutputs;
        for (const [i, value] of alone.entries()) {
          assert.ok(Math.abs(value - together![from + i]!) < 1e-5, `row ${row}`);
        }
      }
    });

    test("later tokens do not change earlier logits", { ...needsTokens, ...needsOrder }, async () => {
      const example = examples[0] as Example;
      const shorter = { ...example, ids: example.ids.slice(0, 4), weights: example.weights.slice(0, 4) };
      const batches = [example, shorter].map((each) => toBatch([[each]]));
      const [longer, start] = await logitsOfEach(engine, [base, null], batches);
      for (const [i, value] of start!.entries()) assert.ok(Math.abs(value - longer![i]!) < 1e-5);
    });

    test("it writes text exactly if it is for that", async () => {
      const open = async () => (await openTextModel(`${folder}/${modelType}`, { threads: 1 })).close();
      const make = async () => Generator.create({ session: new Session(engine, base), adapter: null });
      if (base.model.task === "causal-lm") {
        await open();
        await make();
        return;
      }
      const refusal = {
        code: "usage/model",
        message: new RegExp(`Cannot generate text .*${base.model.task}.*, expected causal-lm`),
      };
      await assert.rejects(open, refusal);
      await assert.rejects(make, refusal);
    });

    test("open() names each value that it cannot use", () => {
      const wrong = { hidden_size: -1, num_hidden_layers: "two" };
      const tiny = TINY_CONFIGS[modelType]!;
      const raw = tiny["text_config"] ? { ...tiny, text_config: wrong } : { ...tiny, ...wrong };
      assert.throws(() => family.open(raw), {
        code: "usage/model",
        message: /hidden_size is -1[ ,].*num_hidden_layers is "two"[ ,]/,
      });
    });
  });
}

test("findFamily() names the family that it does not know, those that it does and the nearest", () => {
  for (const family of FAMILIES) assert.equal(findFamily({ model_type: family.modelType }), family);
  assert.throws(() => findFamily({ model_type: "lama", architectures: ["LamaForCausalLM"] }), {
    code: "usage/model",
    message: /Cannot use model type "lama" \(LamaForCausalLM\): expected .*"llama"/,
    hint: /nearest name is "llama"/,
  });
});

test("a setting that nobody knows is named", () => {
  const raw = { ...TINY_CONFIGS["llama"], attention_sinks: 4, unknown_but_null: null };
  assert.throws(() => openModel(raw), { code: "usage/model", message: /attention_sinks is 4/ });
});

test("with longrope a row is rotated by its own length, whatever is beside it", async () => {
  const longrope = {
    max_position_embeddings: 16,
    original_max_position_embeddings: 5,
    rope_scaling: { type: "longrope", short_factor: [1, 1], long_factor: [2, 8] },
  };
  const path = await writeTinyModel(`${folder}/longrope`, { modelType: "phi3", config: longrope });
  const { base } = await openUntilEnd(path);
  const examples = examplesFor(base.model, [8, 5, 6, 3]);
  const passes = await openPasses(engine, base, await attachTo(base, full));
  const alone = await passes.lossAndGradients(examples.map((example) => toBatch([[example]])));
  const pick = (...indexes: number[]) => indexes.flatMap((i) => examples[i] ?? []);
  for (const rows of [examples.map((example) => [example]), [pick(0, 1), pick(3, 2)]]) {
    const { loss, gradients: all } = await passes.lossAndGradients([toBatch(rows)]);
    assert.ok(Math.abs(loss - alone.loss) < 1e-6, `loss ${loss}, alone ${alone.loss}`);
    for (const [name, gradient] of all) {
      const expected = alone.gradients.get(name)!;
      for (const [i, value] of gradient.entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-6, name);
    }
  }
  await passes.release();
});

test("a block of a layer that a model does not have is refused", () => {
  const model = openModel(TINY_CONFIGS["llama"]!);
  assert.throws(() => model.buildBlock(99, PLAIN_PART), /^RangeError: Cannot build block 99: expected 0 to /);
});

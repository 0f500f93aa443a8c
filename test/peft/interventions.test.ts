/** @file RoAd on the residual stream: where it acts, halves of its pairs that are trained apart and added, text, files. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { makeExample } from "../../src/data/examples/example.ts";
import { NO_ADAPTER } from "../../src/peft/adapter-view.ts";
import { type Adapter, attach } from "../../src/peft/attach.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { road } from "../../src/peft/methods/road.ts";
import { Random } from "../../src/random.ts";
import { BlockRunner } from "../../src/run/blocks/block-runner.ts";
import { PassContext } from "../../src/run/context.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { assertBlockGradient } from "../reference/block-reference.ts";
import { attachTo, logitsOf, lossAndGradients, perturb, unpacked } from "../passes/model-passes.ts";
import { viewOfRows } from "../passes/rows-of-adapters.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { alongDirection, valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const WIDTH = 32;
const VOCAB = 259;
const engine = sharePrograms(createEngine({ threads: 1 }));
const { base, checkpoint } = await openUntilEnd(await writeTinyModel(temporaryFolder()));

/** A prompt of 5 tokens and an answer of 4; two prompts with answers. */
const oneTurn = makeExample([7, 30, 2, 90, 41, 60, 61, 62, 63], (i) => i >= 5, { file: "test", line: 1 });
const twoTurns = makeExample([8, 9, 70, 71, 10, 11, 72, 73, 74], (i) => [2, 3, 6, 7, 8].includes(i), {
  file: "test",
  line: 2,
});
const batch = unpacked([oneTurn, twoTurns]);

/** RoAd on the stream after block 1 (or others), away from its start. */
async function intervene(options: object = {}, layers: readonly number[] = [1], seed = 5): Promise<Adapter> {
  const targets = { modules: ["residual"], exclude: [], layers };
  const adapter = await attach(
    base,
    { method: road, options: { groupSize: 4, ...options }, targets },
    new Random(1),
  );
  perturb(adapter, 0.3, seed);
  return adapter;
}

/** What comes out of block 1 for fixed rows that go in. */
async function afterBlock(adapter: Adapter | null): Promise<Float32Array> {
  const session = new Session(engine, base);
  const runner = new BlockRunner(session, adapter ?? NO_ADAPTER, null);
  const random = new Random(9);
  const x = hostTensor(
    "float32",
    [1, 6, WIDTH],
    new Float32Array(6 * WIDTH).map(() => random.normal()),
  );
  const positions = BigInt64Array.from({ length: 6 }, (_, i) => BigInt(i));
  const facts = { ...factsOf(batch), numRows: 1, length: 6, positions, segments: new Int32Array(6).fill(1) };
  const pass = runner.begin(new PassContext(facts, session.pool, session.tables));
  const { y } = await runner.forward(1, x, pass, { saves: "nothing" });
  runner.end(pass);
  await session.release();
  return y.data;
}

async function save(adapter: Adapter): Promise<string> {
  return await saveAdapter(`${temporaryFolder()}/adapter`, adapter, { base, checkpoint });
}

test("isPromptEnd() marks the first position of each answer's labels", () => {
  const { isPromptEnd, length } = factsOf(batch);
  const places = Array.from({ length: 2 * length }, (_, at) => at);
  const marks = places.filter((at) => isPromptEnd!(Math.floor(at / length), at % length));
  assert.deepEqual(marks, [4, 9 + 1, 9 + 5]);
});

describe("RoAd on the residual stream", () => {
  test("sits after the chosen blocks alone and trains as many numbers as the stream is wide", async () => {
    const adapter = await intervene();
    assert.deepEqual([...adapter.sites.keys()], ["model.layers.1.residual"]);
    assert.equal(adapter.numTrained, WIDTH);
    const everywhere = await attachTo(base, road, {});
    assert.ok([...everywhere.sites.keys()].every((path) => !path.endsWith("residual")));
    await assert.rejects(() => attachTo(base, lora, {}, ["residual"]), { code: "usage/target-modules" });
  });

  test("turns what comes out of its block", async () => {
    const adapter = await intervene({ groupSize: 2 });
    const [plain, turned] = [await afterBlock(null), await afterBlock(adapter)];
    const [theta, alpha] = ["theta", "alpha"].map(
      (name) => adapter.tensor(`model.layers.1.residual.road_${name}`)!.data,
    );
    for (let k = 0; k < plain.length; k += 2) {
      const pair = (k % WIDTH) / 2;
      const [c, s] = [alpha![pair]! * Math.cos(theta![pair]!), alpha![pair]! * Math.sin(theta![pair]!)];
      assert.ok(Math.abs(turned[k]! - (c * plain[k]! - s * plain[k + 1]!)) < 1e-5);
      assert.ok(Math.abs(turned[k + 1]! - (s * plain[k]! + c * plain[k + 1]!)) < 1e-5);
    }
  });

  test("its gradients equal central differences in float64", async () => {
    await assertBlockGradient(base, await intervene(), 1);
  });

  test("at the ends of prompts it leaves what stands before as it is, and its loss follows its gradient", async () => {
    const adapter = await intervene({ positions: "prompt-end" }, [0]);
    const [plain, turned] = [
      await logitsOf(engine, base, null, batch),
      await logitsOf(engine, base, adapter, batch),
    ];
    const isEqualAt = (at: number): boolean =>
      plain.subarray(at * VOCAB, (at + 1) * VOCAB).every((value, i) => value === turned[at * VOCAB + i]);
    const equal = Array.from({ length: 18 }, (_, at) => at).filter(isEqualAt);
    assert.deepEqual(equal, [0, 1, 2, 3, 9]);

    const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
    const gradient = adapter.parameters.flatMap(({ name }) => [...gradients.get(name)!]);
    const { norm, moveTo } = alongDirection(adapter, gradient);
    const lossAt = async (by: number): Promise<number> => {
      moveTo(by);
      return (await lossAndGradients(engine, base, adapter, [batch])).loss;
    };
    const slope = ((await lossAt(0.01)) - (await lossAt(-0.01))) / 0.02;
    assert.ok(Math.abs(slope / norm - 1) < 0.02, `slope ${slope}, gradient norm ${norm}`);
  });

  test("adapters of the two halves of the pairs, added, each do what they do alone", async () => {
    const [lower, upper] = [
      await intervene({ pairs: "lower" }, [1], 6),
      await intervene({ pairs: "upper" }, [1], 7),
    ];
    assert.equal(lower.numTrained + upper.numTrained, WIDTH);
    const adapters = { lower: await save(lower), upper: await save(upper) };
    const path = `${temporaryFolder()}/sum`;
    await (await combineAdapters({ expression: "lower + upper", adapters })).write(path);
    const { adapter: both } = await readAdapter(path, base);
    assert.equal(both.numTrained, WIDTH);
    const [ofLower, ofUpper, ofBoth, plain] = [
      await afterBlock(lower),
      await afterBlock(upper),
      await afterBlock(both),
      await afterBlock(null),
    ];
    for (const [k, value] of ofBoth.entries()) {
      const isLower = k % WIDTH < WIDTH / 2;
      const own = isLower ? ofLower : ofUpper;
      const other = isLower ? ofUpper : ofLower;
      assert.ok(Math.abs(value - own[k]!) < 1e-5);
      assert.equal(other[k], plain[k]);
      assert.notEqual(own[k], plain[k]);
    }
  });

  test("a folder says which pairs were trained, where peft does not look; one that does not is of all pairs", async () => {
    for (const [pairs, variant] of [
      ["lower", "road_1"],
      ["upper", "road_4"],
    ]) {
      const adapter = await intervene({ pairs, variant });
      const path = await save(adapter);
      const { config, metadata } = await readAdapterFolder(path);
      assert.equal(metadata["graft_road_pairs"], pairs);
      assert.doesNotMatch(JSON.stringify(config), /pairs/);
      const { adapter: read } = await readAdapter(path, base);
      assert.equal(read.numTrained, adapter.numTrained);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      const logits = await logitsOf(engine, base, adapter, batch);
      assert.deepEqual(await logitsOf(engine, base, read, batch), logits);
      const file = `${path}/adapter_model.safetensors`;
      const bytes = readFileSync(file, "latin1");
      writeFileSync(file, bytes.replace("graft_road_pairs", "other_road_pairs"), "latin1");
      const { adapter: older } = await readAdapter(path, base);
      assert.equal(older.numTrained, 2 * adapter.numTrained);
      assert.deepEqual(await logitsOf(engine, base, older, batch), logits);
      const other = pairs === "lower" ? "upper" : "lower";
      writeFileSync(file, bytes.replace(`"${pairs}"`, `"${other}"`), "latin1");
      await assert.rejects(readAdapter(path, base), { code: "usage/adapter", message: /road_theta/ });
      writeFileSync(file, bytes.replace(`"${pairs}"`, '"outer"'), "latin1");
      await assert.rejects(readAdapter(path, base), { code: "usage/adapter", message: /pairs/ });
    }
  });

  test("adapters of halves share a batch with others", async () => {
    const adapters = [await intervene({ pairs: "lower" }), await intervene({ variant: "road_2" }, [0, 1], 6)];
    const rows = await logitsOf(engine, base, await viewOfRows(engine, base, adapters), batch);
    const size = rows.length / 2;
    for (const [row, adapter] of adapters.entries()) {
      const alone = await logitsOf(engine, base, adapter, batch);
      for (let i = row * size; i < (row + 1) * size; i++) assert.ok(Math.abs(rows[i]! - alone[i]!) < 1e-5);
    }
  });

  test("text is written as the whole pass computes it, and nothing is reused from another prompt", async () => {
    const adapter = await intervene({ positions: "prompt-end" }, [0]);
    const session = new Session(engine, base);
    const generator = await Generator.create({ session, adapter });
    for (const length of [1, 5, 300]) {
      const promptIds = Array.from({ length }, (_, i) => (i * 37 + 11) % 256);
      const seen: Float32Array[] = [];
      const { ids, numReusedTokens } = await generator.complete({
        promptIds,
        maxNewTokens: 4,
        onLogits: (logits) => seen.push(logits.slice()),
      });
      assert.equal(numReusedTokens, 0);
      const whole = makeExample([...promptIds, ...ids], (i) => i >= length, { file: "test", line: 1 });
      const full = await logitsOf(engine, base, adapter, unpacked([whole]));
      for (const [i, logits] of seen.entries()) {
        const at = (length - 1 + i) * VOCAB;
        const apart = logits.map((value, id) => Math.abs(value - full[at + id]!));
        assert.ok(Math.max(...apart) < 2e-5, `token ${i} after ${length}`);
      }
    }
    await session.release();
  });

  test("comes back from its folder, and cannot be merged or be told of positions elsewhere", async () => {
    const adapter = await intervene({ positions: "prompt-end", variant: "road_4" });
    const { adapter: read } = await readAdapter(await save(adapter), base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
    assert.deepEqual(await logitsOf(engine, base, read, batch), await logitsOf(engine, base, adapter, batch));
    await assert.rejects(() => mergeAdapter(engine, base, adapter), {
      code: "usage/adapter",
      message: /on "model\.layers\.1\.residual".*no weight/,
    });
    await assert.rejects(() => attachTo(base, road, { positions: "prompt-end" }, ["q_proj"]), {
      code: "usage/flag",
      message: /q_proj" only at the ends of prompts/,
    });
  });
});

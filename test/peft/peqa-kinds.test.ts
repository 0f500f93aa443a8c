/** @file PEQA on GGUF files of every kind of codes: it trains float16 scales, or one factor a row, and touches nothing else. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { attachTo, batchFromRows, logitsOf, lossAndGradients } from "../passes/model-passes.ts";
import { randomTensor } from "../tiny/random-blocks.ts";
import { assertSlopes } from "../reference/slopes.ts";
import { buildTinyGguf, ggufValues, type RawTensor, TINY_TOKENS } from "../tiny/gguf.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { sampled } from "../matrix/sampled.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { type LoadedModel, openGguf, readAdapter } from "../../src/format/by-path.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import { openModel } from "../../src/models/families.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { previewAttach } from "../../src/peft/preview.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import { FLOAT16_VALUES, float32ToFloat16 } from "../../src/quant/codes/half.ts";
import { type StorageName, STORAGE_NAMES, STORAGES } from "../../src/quant/storages.ts";
import { packStored, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";
import { readJson } from "../files/read-json.ts";

const [WIDTH, KEY_WIDTH] = [256, 128];
const NUM_WEIGHTS = 5 * WIDTH * WIDTH + 2 * KEY_WIDTH * WIDTH;
const NUM_ROWS = 5 * WIDTH + 2 * KEY_WIDTH;
const engine = sharePrograms(createEngine({ threads: 1 }));
const root = temporaryFolder();
const batch = batchFromRows({
  input_ids: [
    [0, 2, 3, 4, 5, 2, 1],
    [0, 5, 5, 3, 2, 4, 1],
  ],
});

/**
 * Weights that share a trained scale, where in a block its float16 numbers lie (the scale, and the minimum if there is one),
 * and the minimum for a scale of 1 that makes the mean of random weights zero.
 */
const KINDS = {
  q8_0: [32, 0, 2, 0],
  q4_0: [32, 0, 2, 0],
  q4_1: [32, 0, 4, -7.5],
  q5_0: [32, 0, 2, 0],
  q5_1: [32, 0, 4, -15.5],
  q2_k: [256, 80, 84, 1.5],
  q3_k: [256, 108, 110, 0],
  q4_k: [256, 0, 4, 7.5],
  q5_k: [256, 0, 4, 15.5],
  q6_k: [256, 208, 210, 0],
  iq4_nl: [32, 0, 2, 0],
  iq4_xs: [256, 0, 2, 0],
} as const satisfies Partial<Record<StorageName, Kind>>;

const isTrained = (kind: StorageName): kind is keyof typeof KINDS => kind in KINDS;

type Kind = readonly [groupSize: number, from: number, end: number, minimum: number];

/** Random blocks whose values have a mean of about zero, as weights have, so that attention is not all on one token. */
function centred(tensor: RawTensor, kind: StorageName): RawTensor {
  if (!isTrained(kind)) return tensor;
  const [, from, end, minimum] = KINDS[kind];
  if (end - from === 2) return tensor;
  const bytes = Buffer.from(tensor.bytes);
  for (let at = from; at < bytes.length; at += STORAGES[kind].blockBytes) {
    const scale = FLOAT16_VALUES[bytes.readUInt16LE(at)]!;
    bytes.writeUInt16LE(float32ToFloat16(Float32Array.of(minimum * scale))[0]!, at + 2);
  }
  return { ...tensor, bytes };
}

function floats(name: string, shape: readonly number[], value: (i: number) => number): RawTensor {
  const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => value(i));
  return { name, shape, ggmlType: 0, bytes: packStored(quantizeTo("f32", numbers, shape)) };
}

/** A model of one block whose projections are all of a kind. */
async function writeKind(kind: StorageName): Promise<LoadedModel & { readonly path: string }> {
  const random = new Random(3);
  const shapes = { attn_q: WIDTH, attn_k: KEY_WIDTH, attn_v: KEY_WIDTH, attn_output: WIDTH };
  const rows = { ...shapes, ffn_gate: WIDTH, ffn_up: WIDTH, ffn_down: WIDTH };
  const tensors = [
    floats("token_embd.weight", [TINY_TOKENS.length, WIDTH], () => random.normal() / 16),
    ...["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"].map((name) =>
      floats(`${name}.weight`, [WIDTH], () => 1),
    ),
    ...Object.entries(rows).map(([site, numRows]) =>
      centred(randomTensor(`blk.0.${site}.weight`, kind, [numRows, WIDTH], WIDTH ** -0.5, random), kind),
    ),
  ];
  const sizes = ggufValues({
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": WIDTH,
    "llama.rope.dimension_count": WIDTH / 2,
  });
  const path = join(root, `${kind}.gguf`);
  writeFileSync(path, buildTinyGguf(sizes, tensors));
  return { ...(await openUntilEnd(path)), path };
}

async function write(
  { base, checkpoint }: LoadedModel,
  adapter: Adapter,
  output: string,
  to: ModelFormat = "gguf",
): Promise<LoadedModel> {
  const kind = chooseKind(checkpoint.format, to, null);
  const { rounding } = await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
  // float16 keeps 11 bits of a scale; a value is the difference of two such numbers where there is a minimum.
  assert.ok(rounding.worstError < 2e-3, `rounding ${rounding.worstError}`);
  return await openUntilEnd(output);
}

/** Moves every trained number down its gradient, by one part in a hundred of the weight that it scales. */
function descend(adapter: Adapter, gradients: ReadonlyMap<string, Float32Array>): void {
  for (const { name, value } of adapter.parameters) {
    const gradient = gradients.get(name)!;
    value.data.forEach((number, i) => {
      const size = name.includes("delta") ? 1 : Math.abs(number);
      value.data[i] = number - 0.01 * size * Math.sign(gradient[i]!);
    });
  }
}

/** As `descend`, down the gradient where it is. */
async function train(base: BaseModel, adapter: Adapter): Promise<void> {
  descend(adapter, (await lossAndGradients(engine, base, adapter, [batch])).gradients);
}

for (const [kind, [groupSize, from, end]] of Object.entries(KINDS) as [keyof typeof KINDS, Kind][]) {
  describe(`PEQA on ${kind}`, async () => {
    const loaded = await writeKind(kind);
    const { base, path } = loaded;
    const plain = await logitsOf(engine, base, null, batch);
    const size = Math.max(...plain.map(Math.abs));

    // All rows are scaled by one program, whatever the kind.
    const ways = sampled(["group", "row"] as const, (way) => way === "group" || kind === "q4_k");
    for (const scales of ways) {
      test(`scales of a ${scales}: it starts as the file, follows the slopes of the loss, and writes float16 numbers alone`, async () => {
        const adapter = await attachTo(base, peqa, { scales });
        assert.equal(adapter.numTrained, scales === "row" ? NUM_ROWS : NUM_WEIGHTS / groupSize);
        const start = await logitsOf(engine, base, adapter, batch);
        const most = scales === "row" ? 0 : 4e-6 * size;
        assert.ok(largestDifference(start, plain) <= most, `${largestDifference(start, plain)} of ${size}`);
        const lossOf = async (): Promise<number> =>
          (await lossAndGradients(engine, base, adapter, [batch])).loss;
        const { loss: before, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
        // All rows are scaled by one program, whatever the kind: one of them is enough.
        const some = adapter.parameters.filter(({ name }) => /v_proj/.test(name));
        if (scales === "group" || kind === "q4_k") await assertSlopes(some, gradients, lossOf, 0.02);
        descend(adapter, gradients);
        const loss = await lossOf();
        assert.ok(loss < before, `${before} before, ${loss} after`);
        const output = join(root, `${kind}-${scales}.gguf`);
        const tuned = await write(loaded, adapter, output);
        const [old, now] = [readFileSync(path), readFileSync(output)];
        assert.equal(now.length, old.length);
        const file = await openGguf(output);
        after(() => file.close());
        let numChanged = 0;
        for (const { offset, sizeBytes, storage } of file.tensors.values()) {
          if (storage !== kind) continue;
          const { blockBytes } = STORAGES[kind];
          for (let at = 0; at < sizeBytes; at++) {
            const inBlock = at % blockBytes;
            if (inBlock < from || inBlock >= end) continue;
            if (old[offset + at] !== now[offset + at]) numChanged++;
            old[offset + at] = now[offset + at]!;
          }
        }
        assert.ok(numChanged >= NUM_WEIGHTS / groupSize / 2, `${numChanged} bytes of scales have changed`);
        assert.ok(now.equals(old), "a byte beside the scales has changed");
        const expected = await logitsOf(engine, base, adapter, batch);
        const apart = largestDifference(await logitsOf(engine, tuned.base, null, batch), expected);
        assert.ok(apart <= 5e-3 * size, `logits of up to ${size} are ${apart} apart`);
      });
    }
  });
}

describe("one factor a row", () => {
  test("is saved as less than a megabyte for the default model, whatever its file", () => {
    const config = {
      ...tinyModelParts().config,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      vocab_size: 49152,
    };
    const request = { method: peqa, options: { scales: "row" } };
    const model = openModel(config);
    for (const kind of ["q4_0", "q5_1", "q8_0"] as const) {
      const { numTrained, frozenBytes } = previewAttach(
        model,
        { storageOf: () => kind, groupSizeOf: () => null },
        request,
      );
      assert.equal(numTrained, 155_520);
      assert.ok(4 * numTrained < 1e6);
      assert.equal(frozenBytes, 0, "nothing is held beside the base");
    }
  });

  test("reads no weight when an adapter is read, and is the same after it", async () => {
    const { base, checkpoint } = await openUntilEnd(join(root, "q4_k.gguf"));
    const adapter = await attachTo(base, peqa, { scales: "row" });
    await train(base, adapter);
    const folder = join(root, "row-adapter");
    await saveAdapter(folder, adapter, { base, checkpoint });
    const { source } = base;
    const read: string[] = [];
    const watched = new BaseModel(base.name, base.model, {
      ...source,
      storageOf: (name) => source.storageOf(name),
      stored: (name) => (read.push(name), source.stored(name)),
    });
    const { adapter: again } = await readAdapter(folder, watched);
    assert.deepEqual(read, []);
    assert.deepEqual(valuesOf(again), valuesOf(adapter));
    const expected = await logitsOf(engine, base, adapter, batch);
    assert.deepEqual(await logitsOf(engine, base, again, batch), expected);
  });

  test("scales the outputs of projections with biases before the bias, and what is merged computes the same", async () => {
    for (const modelType of ["qwen2", "gpt2"]) {
      const path = await writeTinyModel(join(root, modelType), { modelType });
      const { base, checkpoint } = await openUntilEnd(path);
      const adapter = await attachTo(base, peqa, { scales: "row", bits: 4, groupSize: 16 });
      const lossOf = () => lossAndGradients(engine, base, adapter, [batch]);
      const { gradients } = await lossOf();
      const some = adapter.parameters.filter(({ name }) => /0\.(self_attn\.v_proj|attn\.c_attn)/.test(name));
      assert.equal(some.length, 1);
      await assertSlopes(some, gradients, async () => (await lossOf()).loss, 0.02);
      descend(adapter, gradients);
      const expected = await logitsOf(engine, base, adapter, batch);
      const to = modelType === "gpt2" ? "hf" : "packed";
      const merged = await write({ base, checkpoint }, adapter, join(root, `${modelType}-${to}`), to);
      const apart = largestDifference(await logitsOf(engine, merged.base, null, batch), expected);
      assert.ok(apart <= 2e-5, `${modelType}: logits are ${apart} apart`);
      // On codes of the base's own, where the projection is the base's.
      if (to !== "packed") continue;
      const own = await attachTo(merged.base, peqa, { scales: "row" });
      await train(merged.base, own);
      const tuned = await logitsOf(engine, merged.base, own, batch);
      const twice = await write(merged, own, join(root, `${modelType}-twice`), to);
      const difference = largestDifference(await logitsOf(engine, twice.base, null, batch), tuned);
      assert.ok(difference <= 2e-5, `${modelType}: logits are ${difference} apart`);
    }
  });
});

for (const kind of ["q8_0", "iq4_nl", "q5_0"] as const) {
  test(`${kind} goes into folders of codes of 8 bits, signed codes and all`, async () => {
    const { base, checkpoint } = await openUntilEnd(join(root, `${kind}.gguf`));
    const adapter = await attachTo(base, peqa);
    await train(base, adapter);
    const expected = await logitsOf(engine, base, adapter, batch);
    for (const to of ["packed", "gptq"] as const) {
      const merged = await write({ base, checkpoint }, adapter, join(root, `${kind}-${to}`), to);
      const name = "model.layers.0.mlp.down_proj.weight";
      assert.equal(merged.checkpoint.tensors.get(name)?.storage, "u8");
      const apart = largestDifference(await logitsOf(engine, merged.base, null, batch), expected);
      const most = (to === "packed" ? 4e-6 : 5e-3) * Math.max(...expected.map(Math.abs));
      assert.ok(apart <= most, `${to}: logits are ${apart} apart`);
    }
  });
}

describe("numbers in few bits that are no codes with a scale and a zero", () => {
  const others = STORAGE_NAMES.filter(
    (name) => STORAGES[name].blockSize > 1 && STORAGES[name].affine === "not-affine",
  );

  test("are scaled by rows as they are, refused by name for what would round them, and rounded where that is asked for", () => {
    assert.deepEqual(others, ["mxfp4", "nf4", "f8_e4m3", "m2", "m3", "m8"]);
    const model = openModel({ ...tinyModelParts().config, hidden_size: 64, intermediate_size: 128 });
    for (const kind of others) {
      const preview = (options: object) =>
        previewAttach(model, { storageOf: () => kind, groupSizeOf: () => null }, { method: peqa, options });
      assert.equal(preview({ scales: "row" }).frozenBytes, 0, "nothing is held beside the base");
      for (const options of [{}, { scales: "row", bits: 4 }, { scales: "row", groupSize: 0 }]) {
        assert.throws(() => preview(options), {
          code: "usage/quantization",
          message: new RegExp(`kept as ${kind}, whose scales cannot be trained`),
          hint: /scales "row"/,
        });
      }
      assert.ok(preview({ ownCodes: "written" }).frozenBytes > 0, "codes are made");
    }
  });

  test("of a GGUF file: a factor a row starts as the file, is read back, and is merged exactly into floats", async () => {
    const { base, checkpoint } = await writeKind("mxfp4");
    const adapter = await attachTo(base, peqa, { scales: "row" });
    const plain = await logitsOf(engine, base, null, batch);
    assert.deepEqual(await logitsOf(engine, base, adapter, batch), plain);
    await train(base, adapter);
    const expected = await logitsOf(engine, base, adapter, batch);
    assert.ok(largestDifference(expected, plain) > 1e-3);
    const folder = join(root, "mxfp4-rows");
    await saveAdapter(folder, adapter, { base, checkpoint });
    const { adapter: read } = await readAdapter(folder, base);
    assert.deepEqual(await logitsOf(engine, base, read, batch), expected);
    const merged = await write({ base, checkpoint }, adapter, join(root, "mxfp4-floats"), "hf");
    const apart = largestDifference(await logitsOf(engine, merged.base, null, batch), expected);
    assert.ok(apart <= 2e-5, `logits are ${apart} apart`);
  });
});

test("a folder from before k-quants were trained on their own codes is read as it was written", async () => {
  const { base, checkpoint } = await openUntilEnd(join(root, "q6_k.gguf"));
  const adapter = await attachTo(base, peqa, { ownCodes: "written", init: "rtn" });
  assert.equal(adapter.numTrained, NUM_ROWS, "one scale a row of new codes");
  await train(base, adapter);
  const folder = join(root, "once");
  await saveAdapter(folder, adapter, { base, checkpoint });
  const file = join(folder, "adapter_config.json");
  const { scales, own_codes, ...once } = readJson(file);
  assert.deepEqual([scales, own_codes, once["bits"], once["group_size"]], ["group", "written", 4, 0]);
  writeFileSync(file, JSON.stringify({ ...once, bits: null, group_size: null }));
  const { adapter: read } = await readAdapter(folder, base);
  assert.deepEqual(valuesOf(read), valuesOf(adapter));
  const expected = await logitsOf(engine, base, adapter, batch);
  assert.deepEqual(await logitsOf(engine, base, read, batch), expected);
});

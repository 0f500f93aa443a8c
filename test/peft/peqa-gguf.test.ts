/** @file PEQA on quantized bases: it starts as they are, trains their own scales, and writes them back beside their codes. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { UsageError } from "../../src/errors.ts";
import { readAdapter, type LoadedModel } from "../../src/format/by-path.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import { memorySource } from "../tiny/memory-source.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { peqa as method } from "../../src/peft/methods/peqa.ts";
import { STORAGES, type StorageName } from "../../src/quant/storages.ts";
import { type StoredTensor, packStored, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import {
  attachTo,
  batchFromRows,
  logitsOf,
  lossAndGradients,
  perturb,
  trainSteps,
} from "../passes/model-passes.ts";
import { viewOfRows } from "../passes/rows-of-adapters.ts";
import { buildTinyGguf, ggufValues, type RawTensor, TINY_TOKENS } from "../tiny/gguf.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { frozenOf, valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const KINDS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"] as const;
/** Bytes of a block before its codes. */
const HEAD_BYTES = { q4_0: 2, q4_1: 4, q5_0: 2, q5_1: 4, q8_0: 2 };
const [WIDTH, HIDDEN, KEY_WIDTH] = [64, 96, 32];

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const batch = batchFromRows({
  input_ids: [
    [0, 2, 3, 4, 5, 2, 1],
    [0, 5, 5, 3, 2, 4, 1],
  ],
});

/** Writes a GGUF file of one block; `kindOf` says how each projection is kept. */
async function ggufModel(
  name: string,
  kindOf: (tensor: string) => StorageName,
  seed = 1,
): Promise<LoadedModel> {
  const random = new Random(seed);
  const tensor = (path: string, shape: number[], kind: StorageName, mean = 0): RawTensor => {
    const numElements = shape.reduce((product, size) => product * size, 1);
    const deviation = mean === 0 ? shape.at(-1)! ** -0.5 : 0.1;
    const values = new Float32Array(numElements).map(() => mean + deviation * random.normal());
    const bytes = packStored(quantizeTo(kind, values, shape));
    return { name: path, shape, ggmlType: STORAGES[kind].ggmlTypes[0]!, bytes };
  };
  const matrices = {
    attn_q: [WIDTH, WIDTH],
    attn_k: [KEY_WIDTH, WIDTH],
    attn_v: [KEY_WIDTH, WIDTH],
    attn_output: [WIDTH, WIDTH],
    ffn_gate: [HIDDEN, WIDTH],
    ffn_up: [HIDDEN, WIDTH],
    ffn_down: [WIDTH, HIDDEN],
  };
  const tensors = [
    tensor("token_embd.weight", [TINY_TOKENS.length, WIDTH], "f32"),
    tensor("output_norm.weight", [WIDTH], "f32", 1),
    tensor("blk.0.attn_norm.weight", [WIDTH], "f32", 1),
    tensor("blk.0.ffn_norm.weight", [WIDTH], "f32", 1),
    ...Object.entries(matrices).map(([site, shape]) => tensor(`blk.0.${site}.weight`, shape, kindOf(site))),
  ];
  const sizes = ggufValues({
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": HIDDEN,
    "llama.rope.dimension_count": WIDTH / 2,
  });
  const path = `${folder}/${name}.gguf`;
  writeFileSync(path, buildTinyGguf(sizes, tensors));
  return await openUntilEnd(path);
}

const RATES = { learningRate: 2e-3 };
const { merge } = method;
assert.ok(merge !== "not-mergeable" && merge.stored !== "requantized");
const { stored: mergeStored } = merge;

/** The weights of all sites with an adapter's scales, in the base's own storage. */
async function tunedWeights(base: BaseModel, adapter: Adapter): Promise<Map<string, StoredTensor>> {
  const tuned = new Map<string, StoredTensor>();
  for (const site of adapter.sites.values()) {
    const kept = await base.source.stored(`${site.path}.weight`);
    const merged = mergeStored.make(kept.storage, kept, {
      site,
      tensors: adapter.tensorsOf(site),
      options: site.options,
    });
    tuned.set(`${site.path}.weight`, merged);
  }
  return tuned;
}

async function withStored(base: BaseModel, replaced: ReadonlyMap<string, StoredTensor>): Promise<BaseModel> {
  const tensors = new Map<string, StoredTensor>();
  for (const name of base.model.tensors.keys()) {
    tensors.set(name, replaced.get(name) ?? (await base.source.stored(name)));
  }
  return new BaseModel(base.name, base.model, memorySource(tensors));
}

/** The codes in the raw bytes of a tensor. */
function rawCodes(kind: (typeof KINDS)[number], stored: StoredTensor): Uint8Array {
  const { blockBytes } = STORAGES[kind];
  return packStored(stored).filter((_, i) => i % blockBytes >= HEAD_BYTES[kind]);
}

const isRefusal =
  (code: string, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(error.hint);
    return true;
  };

for (const kind of KINDS) {
  describe(`PEQA on a base of ${kind}`, async () => {
    const { base, checkpoint } = await ggufModel(kind, () => kind);

    test("starts as the base, with one scale a block of it", async () => {
      const adapter = await attachTo(base, method);
      const difference = largestDifference(
        await logitsOf(engine, base, adapter, batch),
        await logitsOf(engine, base, null, batch),
      );
      assert.ok(difference <= 2e-6, `logits are ${difference} apart`);
      const numWeights = 2 * WIDTH * WIDTH + 2 * KEY_WIDTH * WIDTH + 3 * HIDDEN * WIDTH;
      assert.equal(adapter.numTrained, numWeights / 32);
    });

    test("reads no matrix of a block as floats", async () => {
      const read: string[] = [];
      const source = {
        storageOf: (name: string) => base.source.storageOf(name),
        groupSizeOf: (name: string) => base.source.groupSizeOf(name),
        view: () => null,
        stored: (name: string) => base.source.stored(name),
        readInto: (name: string, into: Float32Array, start?: number) => {
          read.push(name);
          return base.source.readInto(name, into, start);
        },
      };
      const watched = new BaseModel(base.name, base.model, source);
      const adapter = await attachTo(watched, method);
      await lossAndGradients(engine, watched, adapter, [batch], { recompute: true });
      assert.deepEqual(
        [...new Set(read)].filter((tensor) => tensor.startsWith("model.layers.") && !tensor.includes("norm")),
        [],
      );
      assert.ok(read.length > 0);
    });

    test("trained scales are written back beside the same codes, and compute the same", async () => {
      const adapter = await attachTo(base, method);
      const before = await lossAndGradients(engine, base, adapter, [batch]);
      const planes = await Promise.all(
        [...base.model.tensors.keys()].map(async (name) => structuredClone(await base.source.stored(name))),
      );
      await trainSteps(
        engine,
        base,
        adapter,
        Array.from({ length: 10 }, () => batch),
        RATES,
      );
      const trained = await lossAndGradients(engine, base, adapter, [batch]);
      assert.ok(trained.loss < before.loss - 0.01, `${before.loss} before, ${trained.loss} after`);
      for (const [i, name] of [...base.model.tensors.keys()].entries()) {
        assert.deepEqual(await base.source.stored(name), planes[i], `${name} has changed`);
      }

      const tuned = await tunedWeights(base, adapter);
      assert.equal(tuned.size, 7);
      for (const [name, stored] of tuned) {
        const original = await base.source.stored(name);
        assert.deepEqual(rawCodes(kind, stored), rawCodes(kind, original), name);
        assert.notDeepEqual(packStored(stored), packStored(original), name);
      }
      const own = await logitsOf(engine, base, adapter, batch);
      const model = await withStored(base, tuned);
      const difference = largestDifference(await logitsOf(engine, model, null, batch), own);
      // float16 keeps a scale, and a minimum of several scales, to one in 2000.
      const size = Math.max(...own.map(Math.abs));
      assert.ok(difference <= 5e-3 * size, `logits of up to ${size} are ${difference} apart`);
    });

    test("is saved as scales alone, and refused on other codes", async () => {
      const adapter = await attachTo(base, method);
      await trainSteps(engine, base, adapter, [batch, batch], RATES);
      const path = `${folder}/adapter-${kind}`;
      await saveAdapter(path, adapter, { base, checkpoint });
      const { adapter: read } = await readAdapter(path, base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      const [own, shared] = [frozenOf(adapter), frozenOf(read)];
      for (const [name, { data }] of own) assert.equal(shared.get(name)?.data.buffer, data.buffer, name);
      const expected = await logitsOf(engine, base, adapter, batch);
      assert.deepEqual(await logitsOf(engine, base, read, batch), expected);

      // Another task's merged model has the same codes; with one zero for all blocks it is as good a base.
      const tuned = await withStored(base, await tunedWeights(base, adapter));
      const { adapter: onTuned } = await readAdapter(path, tuned);
      const difference = largestDifference(await logitsOf(engine, tuned, onTuned, batch), expected);
      const most = kind.endsWith("_1") ? 1e-2 * Math.max(...expected.map(Math.abs)) : 0;
      assert.ok(difference <= most, `logits are ${difference} apart`);

      const { base: other } = await ggufModel(`other-${kind}`, () => kind, 2);
      await assert.rejects(
        () => readAdapter(path, other),
        isRefusal("usage/adapter", /codes [0-9a-f]{12}, expected [0-9a-f]{12}/),
      );
    });

    test("refuses other bits and other groups than the base's", async () => {
      const { bits } = method.options.parse({ bits: 3 }) as { bits: number };
      await assert.rejects(
        () => attachTo(base, method, { bits }),
        isRefusal("usage/quantization", new RegExp(`layers.0.*kept as ${kind}, . bits.*expected 3 bits`)),
      );
      await assert.rejects(
        () => attachTo(base, method, { groupSize: 0 }),
        isRefusal("usage/quantization", /groups of 32, expected . bits in groups of 64/),
      );
      await attachTo(base, method, { groupSize: 32 });
    });

    test("says which scale the file cannot keep", async () => {
      const adapter = await attachTo(base, method);
      adapter.parameters.find(({ name }) => name.includes("up_proj"))!.value.data[7] = 1e6;
      await assert.rejects(
        () => tunedWeights(base, adapter),
        isRefusal("usage/scale", /"model\.layers\.0\.mlp\.up_proj\.weight", row 3, group 1: 1000000, /),
      );
    });
  });
}

test("rows with tasks of their own, and rows of the base, share a batch where all scales of a row change alike", async () => {
  const { base } = await ggufModel("rows", () => "q4_0");
  const adapters = [];
  for (const seed of [1, 2]) {
    const adapter = await attachTo(base, method, { scales: "row" });
    perturb(adapter, 0.3, seed);
    adapters.push(adapter);
  }
  for (const asked of [[adapters[1]!, null], adapters]) {
    const rows = await logitsOf(engine, base, await viewOfRows(engine, base, asked), batch);
    const size = rows.length / 2;
    for (const [row, adapter] of asked.entries()) {
      const alone = await logitsOf(engine, base, adapter, batch);
      const [own, expected] = [rows, alone].map((values) => values.slice(row * size, (row + 1) * size));
      assert.ok(largestDifference(own!, expected!) <= 1e-5);
    }
  }
});

describe("PEQA on other bases", () => {
  test("of mixed kinds it takes the codes that there are and makes the others", async () => {
    const { base } = await ggufModel("mixed", (site) => (site === "ffn_down" ? "q8_0" : "f16"));
    const adapter = await attachTo(base, method, { init: "rtn" });
    const codesOf = (path: string): string => {
      const { dtype, shape } = frozenOf(adapter).get(`model.layers.0.${path}.peqa_codes`)!;
      return `${dtype} ${shape.join()}`;
    };
    assert.equal(codesOf("mlp.down_proj"), `int8 ${WIDTH},${HIDDEN}`);
    assert.equal(codesOf("mlp.up_proj"), `uint8 ${HIDDEN},${WIDTH / 2}`);
    for (const site of adapter.sites.values()) {
      const kept = await base.source.stored(`${site.path}.weight`);
      const [best] = mergeStored.kinds(site, site.options);
      assert.equal(best?.storage, kept.storage === "f16" ? "q4_1" : kept.storage, site.path);
    }
    const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
    assert.ok(Number.isFinite(loss));
    assert.equal(gradients.size, 7);
  });

  test("groups must divide the inputs of every module", async () => {
    const { base } = await ggufModel("floats", () => "f32");
    await assert.rejects(
      () => attachTo(base, method, { groupSize: 64 }),
      isRefusal("usage/quantization", /down_proj": 96 inputs in groups of 64, expected groups that divide/),
    );
    await attachTo(base, method, { groupSize: 32 });
  });

  test("a folder says bits and groups even where they are the defaults", () => {
    const configWith = (start: string | null | undefined) =>
      method.file.toConfig(
        method.options.parse({}),
        [{ path: "proj", options: { start }, storedTransposed: false }],
        [],
      );
    const made = configWith("clip");
    assert.deepEqual(made, {
      bits: 4,
      group_size: 0,
      init: "clip",
      scales: "group",
      own_codes: "all",
      modules_to_save: null,
    });
    const own = configWith(null);
    assert.deepEqual(own, {
      bits: null,
      group_size: null,
      init: "clip",
      scales: "group",
      own_codes: "all",
      modules_to_save: null,
    });
    // A sum of adapters knows no sites of the base: it says what they said.
    assert.deepEqual(configWith(undefined), own);
  });
});

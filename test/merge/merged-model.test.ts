/** Merged models in every format: what is written computes what base and adapter compute, and nothing else changes. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";
import { temporaryFolder, tinyModelParts } from "../tiny/model.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { ia3 } from "../../src/peft/methods/ia3.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import { Random } from "../../src/random.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { quantizeTo } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import { type LoadedModel, openCheckpoint, writeModel, openGguf } from "../../src/format/by-path.ts";
import { folderDtype } from "../../src/format/checkpoint/folder-dtypes.ts";
import { loadWeights } from "../../src/format/checkpoint/load-model.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { type MergeReport, writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { requireNewOutput } from "../../src/export/new-output.ts";
import { changeValues } from "../passes/trained-values.ts";
import { largestDifference } from "../reference/differences.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const batch = unpacked(randomExamples([9, 7]));

/** Wide enough for blocks of 32, with numbers of heads that differ and a norm that needs its exact place. */
const WIDE = { hidden_size: 64, intermediate_size: 96, num_attention_heads: 4, num_key_value_heads: 2 };

async function writeFolderModel(name: string, storage: StorageName, config: object = {}): Promise<string> {
  const parts = tinyModelParts({ config: { ...WIDE, ...config } });
  const path = join(root, name);
  await writeModel(path, {
    config: parts.config,
    generationConfig: { eos_token_id: [257, 258] },
    tokenizerFiles: byteTokenizerFiles(),
    tensors: [...parts.tensors].map(([key, { shape, data }]): [string, HostTensor] => {
      const { planes } = quantizeTo(storage, data, shape);
      return [key, planes["data"] as HostTensor];
    }),
  });
  return path;
}

/** Runs with an open model. */
async function opened<T>(path: string, use: (model: LoadedModel) => Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await use({ base: await loadWeights(path, checkpoint), checkpoint });
  } finally {
    await checkpoint.close();
  }
}

type Put = (base: BaseModel) => Promise<Adapter>;

const put =
  (method: typeof lora, options: object = {}, modules: readonly string[] | null = null): Put =>
  async (base) => {
    const adapter = await attachTo(base, method, options, modules);
    perturb(adapter, 0.05);
    return adapter;
  };

/** Merges; returns the report, and the logits of base and adapter. */
async function merged(
  path: string,
  make: Put,
  output: string,
  to: ModelFormat,
  type: StorageName | null = null,
): Promise<MergeReport & { readonly expected: Float32Array }> {
  return await opened(path, async ({ base, checkpoint }) => {
    const adapter = await make(base);
    const kind = chooseKind(checkpoint.format, to, type);
    const report = await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
    return { ...report, expected: await logitsOf(engine, base, adapter, batch) };
  });
}

const logits = (path: string): Promise<Float32Array> =>
  opened(path, ({ base }) => logitsOf(engine, base, null, batch));

const folder = await writeFolderModel("f32", "f32");
const gguf = join(root, "base.gguf");
// A fresh LoRA changes nothing.
await merged(folder, (base) => attachTo(base, lora), gguf, "gguf", "q4_1");

test("a folder's model as GGUF computes the same, in every kind that is exact, and keeps config and tokenizer", async () => {
  for (const type of ["f32", "f16"] as const) {
    const path = join(root, `to-${type}.gguf`);
    const { expected, numChanged } = await merged(folder, put(lora), path, "gguf", type);
    assert.equal(numChanged, 14);
    assert.ok(largestDifference(await logits(path), expected) < (type === "f32" ? 1e-4 : 0.02), type);
  }
  await opened(folder, async ({ checkpoint: old }) => {
    await opened(join(root, "to-f32.gguf"), ({ checkpoint, base }) => {
      const { architectures: _a, rms_norm_eps: _e, ...config } = old.config;
      const found = checkpoint.config;
      const { head_dim, attention_bias, mlp_bias } = found;
      assert.deepEqual([head_dim, attention_bias, mlp_bias], [16, false, false]);
      for (const [key, value] of Object.entries(config)) assert.deepEqual(found[key], value, key);
      assert.ok(Math.abs(Number(base.model.raw["rms_norm_eps"]) - 1e-5) < 1e-12);
      assert.deepEqual(checkpoint.generationConfig?.["eos_token_id"], [257, 258]);
      const texts = "It's 12 <|im_end|>\n";
      const [a, b] = [old, checkpoint].map(({ tokenizerFiles }) => createTokenizer(tokenizerFiles!));
      assert.deepEqual(b!.encode(texts), a!.encode(texts));
      assert.deepEqual([b!.eosId, b!.padId, b!.bosId], [a!.eosId, a!.padId, a!.bosId]);
      return Promise.resolve();
    });
  });
});

test("a GGUF base keeps its header, its size and the bytes of every tensor that the adapter leaves alone", async () => {
  const path = join(root, "patched.gguf");
  const { rounding } = await merged(gguf, put(ia3, {}, ["k_proj", "down_proj"]), path, "gguf");
  assert.equal(rounding.numTensors, 4);
  assert.ok(rounding.meanError > 0.01 && rounding.worstError < 0.1, JSON.stringify(rounding));
  const [before, after] = [readFileSync(gguf), readFileSync(path)];
  const file = await openGguf(gguf);
  await file.close();
  const changed = [...file.tensors.values()].filter(({ name }) => /attn_k|ffn_down/.test(name));
  assert.equal(changed.length, 4);
  for (const { offset, sizeBytes } of changed) {
    const end = offset + sizeBytes;
    assert.notDeepEqual(after.subarray(offset, end), before.subarray(offset, end));
    before.copy(after, offset, offset, end);
  }
  assert.deepEqual(after, before);
});

test("a GGUF file of wider types computes what base and adapter compute, whatever the order of rows", async () => {
  const path = join(root, "wider.gguf");
  const { expected } = await merged(gguf, put(lora), path, "gguf", "f32");
  assert.ok(largestDifference(await logits(path), expected) < 1e-4);
  const file = await openGguf(path);
  await file.close();
  assert.deepEqual(new Set([...file.tensors.values()].map(({ storage }) => storage)), new Set(["f32"]));
  assert.equal(file.metadata["general.file_type"], 0);
});

test("PEQA stays in the kind of a GGUF base: exact but for scales of 16 bits", async () => {
  const path = join(root, "peqa.gguf");
  const move: Put = async (base) => {
    const adapter = await attachTo(base, peqa);
    const random = new Random(2);
    changeValues(adapter, (value) => value * (1 + 0.2 * random.uniform()));
    return adapter;
  };
  const { expected, rounding } = await merged(gguf, move, path, "gguf");
  assert.ok(rounding.worstError < 1e-3 && rounding.lostChange < 0.01, JSON.stringify(rounding));
  assert.ok(largestDifference(await logits(path), expected) < 0.05);
  assert.equal(readFileSync(path).length, readFileSync(gguf).length);
});

test("an adapter that changes nothing gives the base's own bytes", async () => {
  const path = join(root, "same.gguf");
  const { rounding } = await merged(gguf, (base) => attachTo(base, lora), path, "gguf");
  assert.deepEqual(readFileSync(path), readFileSync(gguf));
  assert.deepEqual(rounding, {
    numTensors: 0,
    meanError: 0,
    worstError: 0,
    worstTensor: null,
    lostChange: 0,
  });
});

test("changes far below a step of the type are taken back by rounding, and the report says so", async () => {
  const small: Put = async (base) => {
    const adapter = await attachTo(base, lora);
    perturb(adapter, 0.003);
    return adapter;
  };
  const lost = async (type: StorageName | null): Promise<number> =>
    (await merged(gguf, small, join(root, `small-${type}.gguf`), "gguf", type)).rounding.lostChange;
  assert.ok((await lost(null)) > 0.8);
  assert.ok(Math.abs(await lost("q8_0")) < 0.2);
});

test("numbers that are none, or too large for the type, are refused, and nothing is written", async () => {
  for (const [type, factor, code, message, hint] of [
    ["f16", 1e8, "usage/scale", /"model\..*\.weight" as f16: .* too large/, /f32/],
    ["q8_0", 1e9, "usage/scale", /"model\..*\.weight" as q8_0: .* too large/, /f32/],
    ["f32", NaN, "usage/adapter", /"model\..*\.weight": it would contain NaN/, /earlier checkpoint/],
  ] as const) {
    const path = join(root, `infinite-${type}.gguf`);
    const large: Put = async (base) => {
      const adapter = await put(lora)(base);
      changeValues(adapter, (value) => value * factor);
      return adapter;
    };
    await assert.rejects(merged(gguf, large, path, "gguf", type), { code, message, hint });
    assert.ok(!existsSync(path));
  }
});

test("a folder keeps the type of each tensor, or takes the one that is asked for", async () => {
  const half = await writeFolderModel("bf16", "bf16", { torch_dtype: "bfloat16" });
  for (const [base, type, storage, tolerance] of [
    [folder, null, "f32", 1e-4],
    [half, null, "bf16", 0.2],
    [half, "f32", "f32", 1e-4],
    [gguf, null, "f32", 1e-4],
    [gguf, "f16", "f16", 0.02],
  ] as const) {
    const path = join(root, `folder-${[base, type].join("-").replaceAll("/", "_")}`);
    const { expected } = await merged(base, put(lora), path, "hf", type);
    await opened(path, ({ checkpoint }) => {
      for (const tensor of checkpoint.tensors.values()) assert.equal(tensor.storage, storage, tensor.name);
      if (base !== folder) assert.equal(checkpoint.config["torch_dtype"], folderDtype(storage));
      assert.ok(checkpoint.tokenizerFiles);
      return Promise.resolve();
    });
    assert.ok(largestDifference(await logits(path), expected) < tolerance, path);
  }
});

test("an adapter on a shared embedding gives the head a matrix of its own, in folders and GGUF files", async () => {
  for (const [base, to] of [
    [folder, "hf"],
    [folder, "gguf"],
    [gguf, "gguf"],
    [gguf, "hf"],
  ] as const) {
    const path = join(root, `untied-${base === gguf}-${to}${to === "gguf" ? ".gguf" : ""}`);
    const type = to === "gguf" && base === folder ? "f32" : null;
    const { expected } = await merged(base, put(lora, {}, ["embed_tokens"]), path, to, type);
    await opened(path, ({ checkpoint, base: { model } }) => {
      assert.equal(model.ties.size, 0);
      assert.ok(checkpoint.tensors.has("lm_head.weight"));
      return Promise.resolve();
    });
    // In a GGUF base the embedding is rounded again, to eight bits; its head keeps its bytes.
    const difference = largestDifference(await logits(path), expected);
    const effect = largestDifference(await logits(base), expected);
    const isRounded = to === "gguf" && base === gguf;
    assert.ok(difference < effect * (isRounded ? 0.05 : 1e-4), `${path}: ${difference} of ${effect}`);
  }
});

test("embedding and head have at least eight bits in a new GGUF file, vectors are float32, odd rows float16", async () => {
  const odd = await writeFolderModel("odd", "f32", { intermediate_size: 80, tie_word_embeddings: false });
  const path = join(root, "odd.gguf");
  await merged(odd, put(lora), path, "gguf", "q4_0");
  const file = await openGguf(path);
  await file.close();
  const kinds = Object.fromEntries([...file.tensors.values()].map(({ name, storage }) => [name, storage]));
  assert.equal(kinds["token_embd.weight"], "q8_0");
  assert.equal(kinds["output.weight"], "q8_0");
  assert.equal(kinds["blk.0.attn_q.weight"], "q4_0");
  assert.equal(kinds["blk.0.ffn_down.weight"], "f16");
  assert.equal(kinds["output_norm.weight"], "f32");
});

test("the scaling of llama3's frequencies survives the way into a GGUF file and back", async () => {
  const scaling = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const scaled = await writeFolderModel("scaled", "f32", { rope_scaling: scaling, rope_theta: 500000 });
  const path = join(root, "scaled.gguf");
  const { expected } = await merged(scaled, put(lora), path, "gguf", "f32");
  assert.ok(largestDifference(await logits(path), expected) < 1e-4);
});

test("writeMergedModel() leaves nothing behind when it is stopped half-way", async () => {
  const stop = (): void => {
    throw new Error("stopped");
  };
  await opened(gguf, async ({ base, checkpoint }) => {
    const adapter = await put(lora)(base);
    for (const [to, name] of [
      ["hf", "half"],
      ["gguf", "half.gguf"],
    ] as const) {
      const kind = chooseKind("gguf", to, null);
      const path = join(root, "new", name);
      const request = { engine, base, checkpoint, adapter, path, to, kind, onTensor: stop };
      await assert.rejects(writeMergedModel(request), /stopped/);
    }
  });
  assert.ok(!readdirSync(root).includes("new"));
});

test("a folder of blocks is refused, and so is a GGUF file of what such a file cannot hold", async () => {
  assert.throws(() => chooseKind("gguf", "hf", "q8_0"), {
    code: "usage/flag",
    message: /folder of type q8_0, expected f32, f16, bf16/,
  });
  await opened(folder, async ({ base, checkpoint }) => {
    const adapter = await put(lora)(base);
    const request = { engine, base, adapter, path: join(root, "no.gguf"), to: "gguf", kind: "f16" } as const;
    await assert.rejects(
      writeMergedModel({ ...request, checkpoint: { ...checkpoint, tokenizerFiles: null } }),
      { code: "usage/model", message: /no tokenizer\.json/ },
    );
  });
});

test("requireNewOutput() refuses taken places, wrong endings and places inside of inputs", async () => {
  mkdirSync(join(root, "empty"), { recursive: true });
  await requireNewOutput(join(root, "empty"), "hf", { model: gguf });
  await requireNewOutput(join(root, "fresh.gguf"), "gguf", { model: gguf });
  for (const [path, to, says] of [
    [folder, "hf", /is inside the model/],
    [join(folder, "inside"), "hf", /is inside the model/],
    [gguf, "gguf", /a file already exists/],
    [join(root, "to-f16.gguf"), "hf", /name ends in \.gguf, expected a folder/],
    [join(root, "plain"), "gguf", /expected a file whose name ends in \.gguf/],
    [root, "hf", /it is not empty/],
    [join(gguf, "below"), "hf", /a file already exists or is in the way/],
  ] as const) {
    await assert.rejects(requireNewOutput(path, to, { model: folder }), (error: unknown) => {
      assert.match((error as Error).message, says);
      assert.equal((error as { code?: string }).code, "usage/output");
      assert.ok((error as { hint?: string }).hint);
      return true;
    });
  }
});

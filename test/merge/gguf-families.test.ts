/** @file GGUF files of families that differ from Llama: quantized ones read and merged, and models that they cannot say. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { goldenJson, goldenPath, goldenTensors } from "../golden/golden-files.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, openGguf, writeGguf, writeModel } from "../../src/format/by-path.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { joinBytes } from "../../src/graph/dtype.ts";
import type { GgufFile, GgufTensor } from "../../src/format/files/gguf/gguf.ts";
import type { GgufSource } from "../../src/format/files/gguf/gguf-writer.ts";
import {
  dequantize,
  packStored,
  quantizeTo,
  type StoredTensor,
  unpackStored,
} from "../../src/quant/stored-tensor.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const allIds = goldenJson<Record<string, readonly (readonly number[])[]>>("gguf", "ids.json");

/** A golden GGUF file whose wide matrices are rounded to blocks, as llama.cpp's quantize rounds them. */
async function quantized(name: string, kind: StorageName): Promise<string> {
  const path = join(root, `${name}-${kind}.gguf`);
  const file = await openGguf(goldenPath("gguf", `${name}.gguf`));
  const sources = [...file.tensors.values()].map((tensor) => {
    const isRounded = tensor.shape.length > 1 && tensor.shape.at(-1)! % 32 === 0;
    const storage = isRounded ? kind : tensor.storage;
    const load = async () => quantizeTo(storage, dequantize(await file.read(tensor)), tensor.shape);
    return { name: tensor.name, shape: tensor.shape, storage, load };
  });
  await writeGguf(path, await file.readSettings(), sources);
  await file.close();
  return path;
}

/** A golden model with other settings, as a folder with a tokenizer. */
async function folderOf(name: string, config: object): Promise<string> {
  const path = join(root, `${name}-${JSON.stringify(config).length}`);
  const { checkpoint, base } = await loadModel(goldenPath("models", name));
  const { checkpoint: withTokens } = await loadModel(goldenPath("gguf", "llama.gguf"));
  const tensors = await goldenTensors("models", name, "model.safetensors");
  await writeModel(path, {
    config: { ...checkpoint.config, ...config },
    generationConfig: null,
    tokenizerFiles: withTokens.tokenizerFiles,
    tensors: [...tensors].map(([key, values]) => [
      key,
      hostTensor("float32", base.model.tensors.get(key)!.shape, values as Float32Array<ArrayBuffer>),
    ]),
  });
  await Promise.all([checkpoint.close(), withTokens.close()]);
  return path;
}

/** Merges an adapter, a fresh one or one that changes all it can; returns the logits that are to come. */
async function merge(path: string, output: string, options: { deviation: number; type: StorageName | null }) {
  const { base, checkpoint } = await loadModel(path);
  try {
    const adapter = await attachTo(
      base,
      lora,
      {},
      ["c_proj", "q_proj", "k_proj"].filter((name) => hasModule(base.model, name)),
    );
    if (options.deviation > 0) perturb(adapter, options.deviation);
    const to: ModelFormat = "gguf";
    const kind = chooseKind(checkpoint.format, to, options.type);
    await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
    return await logitsOf(engine, base, adapter, batch);
  } finally {
    await checkpoint.close();
  }
}

const hasModule = ({ tensors }: { readonly tensors: ReadonlyMap<string, unknown> }, name: string): boolean =>
  [...tensors.keys()].some((tensor) => tensor.endsWith(`.${name}.weight`));

const rows = allIds["gpt2"]!;
const batch = batchFromRows({
  input_ids: rows,
  attention_mask: rows.map((row) => row.map(() => 1)),
  labels: rows,
});

async function logitsIn(path: string): Promise<Float32Array> {
  const { base, checkpoint } = await loadModel(path);
  const logits = await logitsOf(engine, base, null, batch);
  await checkpoint.close();
  return logits;
}

const apart = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);

test("a matrix in blocks that lies the other way round is read as its numbers, and keeps its bytes when merged", async () => {
  const path = await quantized("gpt2", "q8_0");
  const file = await openGguf(path);
  const { checkpoint } = await loadModel(path);
  const stored = await file.read(file.tensors.get("blk.0.ffn_up.weight")!);
  const [numOut, numIn] = stored.shape as [number, number];
  const [theirs, ours] = [
    dequantize(stored),
    dequantize(await checkpoint.read("transformer.h.0.mlp.c_fc.weight")),
  ];
  for (let i = 0; i < numOut; i++) {
    for (let j = 0; j < numIn; j++) assert.equal(ours[j * numOut + i], theirs[i * numIn + j]);
  }
  await checkpoint.close();

  const merged = join(root, "gpt2-merged.gguf");
  const expected = await merge(path, merged, { deviation: 0.05, type: null });
  assert.ok(apart(await logitsIn(merged), expected) < 1e-4);
  const after = await openGguf(merged);
  for (const [name, tensor] of file.tensors) {
    const found = after.tensors.get(name)!;
    const isChanged = /attn_output\.weight|ffn_down\.weight/.test(name);
    assert.equal(found.storage, isChanged ? "f32" : tensor.storage, name);
    const [a, b] = [packStored(await after.read(found)), packStored(await file.read(tensor))];
    assert.equal(Buffer.compare(a, b) === 0, !isChanged, name);
  }
  await Promise.all([file.close(), after.close()]);
});

test("experts are slices of a stack, in its own kind", async () => {
  const path = await quantized("qwen3_moe", "q4_0");
  const file = await openGguf(path);
  const { checkpoint } = await loadModel(path);
  const stack = packStored(await file.read(file.tensors.get("blk.1.ffn_gate_exps.weight")!));
  const parts = await Promise.all(
    Array.from({ length: 6 }, (_, i) => checkpoint.read(`model.layers.1.mlp.experts.${i}.gate_proj.weight`)),
  );
  assert.ok(parts.every(({ storage, shape }) => storage === "q4_0" && shape.join() === "24,32"));
  assert.deepEqual(Buffer.concat(parts.map(packStored)), Buffer.from(stack));
  await Promise.all([file.close(), checkpoint.close()]);
});

test("a folder of GPT-2 as q8_0 keeps in float16 what would be rounded the wrong way", async () => {
  const [path, output] = [await folderOf("gpt2", {}), join(root, "gpt2-written.gguf")];
  const expected = await merge(path, output, { deviation: 0, type: "q8_0" });
  const difference = apart(await logitsIn(output), expected);
  assert.ok(difference < 0.1, String(difference));
  const file = await openGguf(output);
  const kind = (name: string): string => file.tensors.get(name)!.storage;
  assert.deepEqual(["token_embd.weight", "blk.0.attn_qkv.weight", "blk.0.attn_qkv.bias"].map(kind), [
    "q8_0",
    "f16",
    "f32",
  ]);
  await file.close();
});

test("the text part of a Gemma 3 that reads images becomes a file of a Gemma 3 for text", async () => {
  const text = { ...goldenJson<object>("models", "gemma3_text", "config.json"), query_pre_attn_scalar: 12 };
  const config = { model_type: "gemma3", text_config: text, layer_types: null, tie_word_embeddings: true };
  const [path, output] = [await folderOf("gemma3_text", config), join(root, "gemma3.gguf")];
  const expected = await merge(path, output, { deviation: 0, type: "f32" });
  const { checkpoint, base } = await loadModel(output);
  assert.equal(base.model.modelType, "gemma3_text");
  await checkpoint.close();
  assert.ok(apart(await logitsIn(output), expected) < 1e-5);
});

test("the one group of Granite's state-space layers is in files, also where no setting has it", async () => {
  const path = await folderOf("granitemoehybrid-files", { mamba_n_groups: null });
  const output = join(root, "granite-hybrid.gguf");
  await merge(path, output, { deviation: 0, type: "f32" });
  const file = await openGguf(output);
  await file.close();
  assert.equal(file.metadata["granitehybrid.ssm.group_count"], 1);
});

test("factors of a configuration are in the numbers of a file, whose model has none", async () => {
  const [path, output] = [await folderOf("falcon_h1", {}), join(root, "falcon-h1.gguf")];
  for (const deviation of [0, 0.05]) {
    const expected = await merge(path, output, { deviation, type: "f32" });
    assert.ok(apart(await logitsIn(output), expected) < 1e-5);
  }
  const { base, checkpoint } = await loadModel(output);
  assert.equal(base.model.settings["key_multiplier"], 1);
  await checkpoint.close();
});

test("GLM-4.7-Flash becomes a file of DeepSeek V3, which computes the same", async () => {
  const [path, output] = [await folderOf("glm4_moe_lite", {}), join(root, "glm-flash.gguf")];
  const expected = await merge(path, output, { deviation: 0, type: "f32" });
  const { checkpoint, base } = await loadModel(output);
  assert.equal(base.model.modelType, "deepseek_v3");
  await checkpoint.close();
  assert.ok(apart(await logitsIn(output), expected) < 1e-5);
});

const UNSAID: readonly [string, object, RegExp][] = [
  ["mistral", {}, /llama model cannot store the window of attention in layer 0/],
  ["gemma2", {}, /gemma2 model cannot store the scale of attention in layer 0/],
  ["qwen3_moe", { norm_topk_prob: false }, /qwen3_moe model cannot store what layer 0 computes/],
  [
    "smollm3",
    { no_rope_layers: [1, 0, 1, 0] },
    /smollm3 model cannot store the rotation of heads in layer 1/,
  ],
  ["gpt2", { activation_function: "gelu" }, /gpt2 model cannot store what layer 0 computes/],
  [
    "llama-scaled",
    {
      rope_parameters: {
        rope_type: "llama3",
        rope_theta: 500,
        factor: 3.5,
        low_freq_factor: 1.5,
        high_freq_factor: 3,
        original_max_position_embeddings: 12,
      },
    },
    /^Cannot write model ".*" as GGUF: a file that could not be read again \(.*other frequencies.*\), expected a model/,
  ],
  ["falcon_h1-files", { mamba_norm_before_gate: true }, /falcon_h1 model cannot store what layer 0 computes/],
  ["deepseek_v3", {}, /deepseek_v3 model cannot store the rotation of heads in layer 0/],
  ["llama-cls", {}, /tensor "score\.weight", expected only tensors of llama/],
];

for (const [name, config, message] of UNSAID) {
  test(`a model that a GGUF file cannot say is not written: ${name} ${JSON.stringify(config)}`, async () => {
    const path = await folderOf(name, config);
    const written = merge(path, join(root, "never.gguf"), { deviation: 0, type: "f32" });
    await assert.rejects(written, { code: "usage/model", message });
  });
}

test("a family without GGUF files is told which have them", async () => {
  const { base, checkpoint } = await loadModel(goldenPath("models", "bert-cls"));
  const adapter = await attachTo(base, lora);
  const written = writeMergedModel({
    engine,
    base,
    checkpoint,
    adapter,
    path: join(root, "b.gguf"),
    to: "gguf",
    kind: "f32",
  });
  await assert.rejects(written, {
    code: "usage/model",
    message: /family bert, expected one of llama, mistral, .*olmoe/,
  });
  await checkpoint.close();
});

/** A copy of a file in which tensors of each block are one, by the names in `joined`: that of the whole first. */
async function joinedFile(
  path: string,
  name: string,
  joined: readonly (readonly string[])[],
): Promise<string> {
  const output = join(root, `${name}-joined.gguf`);
  const file = await openGguf(path);
  const sources = [...file.tensors.values()].flatMap((tensor): GgufSource[] => {
    const load = (): Promise<StoredTensor> => file.read(tensor);
    const [, block = "", module = "", part = ""] =
      /^(blk\.\d+\.)(.+)\.(weight|bias)$/.exec(tensor.name) ?? [];
    const [whole = "", ...parts] = joined.find((names) => names.includes(module)) ?? [];
    if (whole === "") return [{ ...tensor, load }];
    if (module !== parts[0]) return [];
    const all = parts.map((each) => file.tensors.get(`${block}${each}.${part}`)!);
    const axis = tensor.shape.length === 3 ? 1 : 0;
    const shape = tensor.shape.with(
      axis,
      all.reduce((sum, each) => sum + each.shape[axis]!, 0),
    );
    return [
      {
        name: `${block}${whole}.${part}`,
        shape,
        storage: tensor.storage,
        load: () => joinedRows(file, all, shape),
      },
    ];
  });
  await writeGguf(output, await file.readSettings(), sources);
  await file.close();
  return output;
}

/** Rows of matrices below one another, of each expert where they are stacks. */
async function joinedRows(
  file: GgufFile,
  tensors: readonly GgufTensor[],
  shape: readonly number[],
): Promise<StoredTensor> {
  const count = shape.length === 3 ? shape[0]! : 1;
  const bytes = await Promise.all(tensors.map(async (tensor) => packStored(await file.read(tensor))));
  const pieces = Array.from({ length: count }, (_, i) =>
    bytes.map((all) => all.subarray((all.length / count) * i, (all.length / count) * (i + 1))),
  );
  return unpackStored(tensors[0]!.storage, joinBytes(pieces.flat()), shape);
}

const JOINED = [
  ["attn_qkv", "attn_q", "attn_k", "attn_v"],
  ["ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps"],
];

for (const name of ["llama", "qwen2", "qwen3_moe"]) {
  test(`queries, keys and values, and gate and up of experts, may lie in one tensor: ${name}`, async () => {
    const path = await quantized(name, "q4_0");
    const joined = await joinedFile(path, name, JOINED);
    assert.deepEqual(await logitsIn(joined), await logitsIn(path));
    const merged = join(root, `${name}-joined-merged.gguf`);
    const expected = await merge(joined, merged, { deviation: 0.05, type: "f32" });
    assert.ok(apart(await logitsIn(merged), expected) < 1e-4);
    const file = await openGguf(merged);
    assert.ok(![...file.tensors.keys()].some((tensor) => /attn_qkv|gate_up/.test(tensor)));
    await file.close();
  });
}

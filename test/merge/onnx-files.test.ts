/** @file Models as ONNX files, opened by ONNX Runtime as any program would: what is read and written piece by piece is what graft computes. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import fs from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { writeOnnxModel } from "../../src/export/onnx/write-onnx.ts";
import { openSafetensors, readJson } from "../../src/format/by-path.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../passes/model-passes.ts";
import { type Said, runMain } from "../process/run-main.ts";
import { largestDifference } from "../reference/differences.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { roundedTo } from "../tiny/rounded-to.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const random = new Random(1);
const rows = [0, 1].map(() => Array.from({ length: 11 }, () => random.integer(256)));
const batch = batchFromRows({ input_ids: rows });

const exported = (...words: readonly string[]): Promise<Said> =>
  runMain(["export", ...words], { GRAFT_HOME: root });

const PIECES = [[0, 7], ...[7, 8, 9, 10].map((start) => [start, start + 1])] as [number, number][];

type Feeds = Record<string, Tensor>;

/** Logits [2·11, V] of the rows by the files: a prompt of seven tokens, then one after another, as ONNX Runtime takes several rows. */
async function logitsByFiles(folder: string, graph = "model.onnx"): Promise<Float32Array> {
  const session = await InferenceSession.create(join(folder, "onnx", graph));
  const integers = (all: readonly (readonly number[])[]): Tensor =>
    new Tensor("int64", BigInt64Array.from(all.flat(), BigInt), [all.length, all[0]!.length]);
  const parts: (readonly [start: number, logits: Tensor])[] = [];
  let past: Feeds = {};
  for (const input of session.inputMetadata) {
    if (!input.name.startsWith("past") || !input.isTensor) continue;
    const [batch, ...sizes] = input.shape;
    assert.equal(batch, "batch_size");
    if (input.name.endsWith(".key")) assert.equal(sizes[1], "past_sequence_length");
    const shape = [rows.length, ...sizes.map((size) => (typeof size === "number" ? size : 0))];
    past[input.name] = new Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape);
  }
  for (const [start, end] of PIECES) {
    const feeds: Feeds = {
      ...past,
      input_ids: integers(rows.map((ids) => ids.slice(start, end))),
      attention_mask: integers(rows.map((ids) => ids.slice(0, end).fill(1))),
    };
    if (session.inputNames.includes("position_ids"))
      feeds["position_ids"] = integers(
        rows.map((ids) => ids.map((_, position) => position).slice(start, end)),
      );
    const { logits, ...present } = await session.run(feeds);
    parts.push([start, logits!]);
    past = Object.fromEntries(
      Object.entries(present).map(([name, value]) => [
        name.replace("present_conv", "past_conv").replace("present", "past_key_values"),
        value,
      ]),
    );
  }
  await session.release();
  const width = parts[0]![1].dims[2]!;
  const all = new Float32Array(rows.length * 11 * width);
  for (const [start, { data, dims }] of parts) {
    const size = dims[1]! * width;
    for (const row of rows.keys())
      all.set((data as Float32Array).subarray(row * size, (row + 1) * size), (row * 11 + start) * width);
  }
  return all;
}

/** ONNX Runtime's cache takes heads of 16 elements; others are attended over otherwise. */
const WIDE = { num_attention_heads: 2, num_key_value_heads: 1 };
const WIDE_HEADS = { ...WIDE, head_dim: 16 };

const CASES: Readonly<Record<string, readonly [config: Record<string, unknown>, method: string | null]>> = {
  llama: [{ ...WIDE, intermediate_size: 64 }, null],
  qwen2: [WIDE, "lora"],
  qwen3: [WIDE_HEADS, "snell"],
  gemma2: [WIDE_HEADS, "road"],
  gpt2: [{ n_head: 2 }, "bitfit"],
  hunyuan_v1_dense: [WIDE_HEADS, "trainable-tokens"],
  mixtral: [WIDE, "lora"],
  phi: [{}, "lora"],
  gemma3_text: [{}, "snell"],
  lfm2: [{}, "lora"],
  nanochat: [{}, "lora"],
  "modernbert-decoder": [{}, "lora"],
  apertus: [{}, "lora"],
  lfm2_moe: [{}, "lora"],
  deepseek_v2: [{}, "lora"],
  glm4_moe_lite: [{ ...WIDE, num_key_value_heads: 2, qk_nope_head_dim: 16, qk_rope_head_dim: 16 }, "dora"],
  gpt_oss: [{}, "lora"],
  gemma4_text: [{}, "lora"],
};

describe("files compute what the model does", () => {
  for (const [modelType, [config, method]] of Object.entries(CASES)) {
    test(`${modelType}, ${method ?? "without adapter"}`, async () => {
      const model = await writeTinyModel(join(root, modelType), { modelType, config });
      const { base, checkpoint } = await openUntilEnd(model);
      const adapter = method === null ? null : await attachTo(base, findMethod(method));
      if (adapter) perturb(adapter, 0.1);
      const path = join(root, `${modelType}-onnx`);
      await writeOnnxModel({ engine, base, checkpoint, adapter, path });
      const expected = await logitsOf(engine, base, adapter, batch);
      assert.ok(largestDifference(await logitsByFiles(path), expected) < 2e-5);
    });
  }

  for (const [compute, kind, share] of [
    ["w4", "q4_0", 0.7],
    ["direct", "q8_0", 0.3],
  ] as const) {
    test(`weights of few bits stay so, by ${compute}${compute === "direct" ? ", also those of the embedding" : ""}`, async () => {
      const { base: floats, checkpoint } = await openUntilEnd(join(root, "llama"));
      const base = await roundedTo(kind, floats);
      const path = join(root, `llama-${compute}-onnx`);
      await writeOnnxModel({ engine, base, checkpoint, adapter: null, path, compute });
      const expected = await logitsOf(engine, base, null, batch, { compute: COMPUTES[compute] });
      assert.ok(largestDifference(await logitsByFiles(path), expected) < 2e-5);
      const [few, all] = [path, join(root, "llama-onnx")].map((each) => dataBytes(each) - TABLES);
      assert.ok(few! < share * all!, `${few} of ${all} bytes`);
    });
  }
});

test("matrices of 16 bits stay so, in files that transformers.js calls fp16; what they cannot hold is refused", async () => {
  const { base: floats, checkpoint } = await openUntilEnd(join(root, "llama"));
  const base = await roundedTo("f16", floats);
  const path = join(root, "llama-f16-onnx");
  await writeOnnxModel({ engine, base, checkpoint, adapter: null, path, dtype: "f16" });
  const expected = await logitsOf(engine, base, null, batch);
  assert.ok(largestDifference(await logitsByFiles(path, "model_fp16.onnx"), expected) < 2e-5);
  assert.deepEqual(readdirSync(join(path, "onnx")), ["model_fp16.onnx", "model_fp16.onnx_data"]);
  const settings = (await readJson(join(path, "config.json")))["transformers.js_config"];
  assert.deepEqual(settings, { dtype: "fp16", use_external_data_format: true });
  const half = statSync(join(path, "onnx/model_fp16.onnx_data")).size - TABLES;
  assert.ok(half < 0.55 * (dataBytes(join(root, "llama-onnx")) - TABLES));

  const read: (typeof floats.source)["readInto"] = async (tensor, into, start) => {
    await floats.source.readInto(tensor, into, start);
    into[0] = 1e5;
  };
  const large = new BaseModel("large", floats.model, { ...floats.source, readInto: read });
  const never = join(root, "large-never");
  await assert.rejects(
    writeOnnxModel({ engine, base: large, checkpoint, adapter: null, path: never, dtype: "f16" }),
    { code: "usage/scale", message: /as f16: one of its numbers is too large for 16-bit floats/ },
  );
  assert.ok(!existsSync(never));
});

/** Bytes of what turns heads of 16 at 512 positions. */
const TABLES = 2 * 512 * 8 * 4;

const dataBytes = (folder: string): number => statSync(join(folder, "onnx/model.onnx_data")).size;

test("what transformers.js reads stands beside them: settings, and the template among the tokenizer's", async () => {
  const path = join(root, "llama-chat-onnx");
  const model = join(root, "llama-chat");
  cpSync(join(root, "llama"), model, { recursive: true });
  writeFileSync(join(model, "chat_template.jinja"), "{{ messages[0].content }}");
  const { status, stdout, stderr } = await exported("--model", model, "--output", path, "--json");
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { event: "done", output: path, compute: "f32" });
  const others = [
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "onnx",
    "tokenizer.json",
    "tokenizer_config.json",
  ];
  assert.deepEqual(readdirSync(path).toSorted(), others);
  const settings = (await readJson(join(path, "config.json")))["transformers.js_config"];
  assert.deepEqual(settings, { dtype: "fp32", use_external_data_format: true });
  const { chat_template: template } = await readJson(join(path, "tokenizer_config.json"));
  assert.equal(template, "{{ messages[0].content }}");
  assert.match(readFileSync(join(path, "README.md"), "utf8"), /library_name: transformers\.js/);
  // The matrix of the embedding, which is that of the head too, is there once.
  const weights = await openSafetensors(join(model, "model.safetensors"));
  const { tensors } = weights;
  await weights.close();
  const numbers = [...tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.ok(dataBytes(path) >= numbers + TABLES);
  assert.ok(dataBytes(path) < numbers + TABLES + 64 * (tensors.size + 2));
});

test("of a family that transformers.js does not know, output and card say that ONNX Runtime reads it", async () => {
  for (const [modelType, library, readers] of [
    ["mixtral", "onnx", /ONNX Runtime; transformers\.js does not support the family mixtral\n/],
    ["qwen3_vl", "transformers.js", /for transformers\.js and ONNX Runtime\n/],
  ] as const) {
    const model = await writeTinyModel(join(root, `known-${modelType}`), { modelType });
    const path = `${model}-onnx`;
    const { status, stdout, stderr } = await exported("--model", model, "--output", path);
    assert.equal(status, 0, stderr);
    assert.match(stdout, readers);
    const card = readFileSync(join(path, "README.md"), "utf8");
    assert.match(card, new RegExp(`library_name: ${library.replace(".", "\\.")}\n`));
    assert.equal(card.includes("huggingface/transformers"), library === "transformers.js");
  }
});

describe("what such files cannot hold is refused, and nothing is written", () => {
  const REFUSED: readonly (readonly [modelType: string, found: RegExp, config?: Record<string, unknown>])[] =
    [
      ["qwen3_5_moe", /block 0 keeps one state per text, expected attention or convolutions/],
      ["qwen3_5", /block 0 keeps one state per text, expected attention or convolutions/],
      ["vit", /it is for image-classification, expected one that reads text/],
      [
        "lfm2",
        /its convolutions are used for classification, expected attention, or a model that generates text/,
        {
          architectures: ["Lfm2ForSequenceClassification"],
          id2label: { 0: "bad", 1: "good" },
        },
      ],
    ];
  for (const [modelType, message, config = {}] of REFUSED) {
    test(modelType, async () => {
      const model = await writeTinyModel(join(root, `${modelType}-refused`), { modelType, config });
      const output = join(root, `${modelType}-never`);
      const { status, stderr } = await exported("--model", model, "--output", output);
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.ok(!existsSync(output));
    });
  }

  test("an adapter at the ends of prompts, which cannot be merged either", async () => {
    const { base, checkpoint } = await openUntilEnd(join(root, "llama"));
    const adapter = await attachTo(base, findMethod("road"), { positions: "prompt-end" }, ["residual"]);
    const path = join(root, "ends-never");
    await assert.rejects(writeOnnxModel({ engine, base, checkpoint, adapter, path }), {
      code: "usage/model",
      message: /its adapter depends on where prompts end/,
      hint: /graft generate/,
    });
    assert.ok(!existsSync(path));
  });

  test("a folder that holds files", async () => {
    const { stderr } = await exported("--model", join(root, "llama"), "--output", root);
    assert.match(stderr, /it is not empty, expected an empty or new folder/);
  });
});

test("a disk that fills up leaves an empty folder as it was", async () => {
  const { base, checkpoint } = await openUntilEnd(join(root, "llama"));
  const path = join(root, "full");
  mkdirSync(path);
  for (const call of ["mkdir", "rename"] as const) {
    let numCalls = 0;
    const failing = async (...args: unknown[]): Promise<unknown> => {
      if (++numCalls === 3) throw Object.assign(new Error("full"), { code: "ENOSPC", syscall: call });
      return await (fs[call] as (...args: unknown[]) => Promise<unknown>)(...args);
    };
    const write = (): Promise<void> => writeOnnxModel({ engine, base, checkpoint, adapter: null, path });
    await assert.rejects(withDisk({ ...fs, [call]: failing }, write), { code: "failed/write" });
    assert.deepEqual(readdirSync(path), []);
  }
});

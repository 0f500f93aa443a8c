import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { buildTinyGguf } from "../../../test/tiny/gguf.ts";
import { FormatError } from "../../errors.ts";
import { dequantize } from "../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { findCollector } from "../../runtime/memory/find-collector.ts";
import { openCheckpoint, writeModel } from "../by-path.ts";
import { memoryFolder } from "../files/memory-folder.ts";
import { modelFolderFiles, MODEL_FILES } from "./model-folder-files.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";
import { writeSafetensors } from "../../../test/files/write-safetensors.ts";

const root = mkdtempSync(join(tmpdir(), "graft-checkpoint-"));
after(() => rmSync(root, { recursive: true }));

const WEIGHT: [string, HostTensor] = ["w", hostTensor("float32", [2, 1], new Float32Array([1, 2]))];
const PARTS = {
  config: { model_type: "llama", b: [1, { z: 1, a: 2 }] },
  generationConfig: { eos_token_id: [1, 2] },
  imageProcessor: { image_mean: [0.5] },
  tokenizerFiles: { tokenizer: { version: "1.0" }, config: { bos_token: "<s>" }, chatTemplate: "{{ x }}" },
  tensors: [WEIGHT],
};

/** Makes a fresh folder with the given files. */
function folder(name: string, files: Record<string, string>): string {
  mkdirSync(join(root, name));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, name, file), text);
  return join(root, name);
}

test("writes settings that Python reads as floats with a point", async () => {
  const path = join(root, "out", "floats");
  const config = {
    final_logit_softcapping: 30,
    clip_qkv: 8,
    rms_norm_eps: 0.5,
    initializer_cutoff_factor: 2,
    router_jitter_noise: 0,
    vocab_size: 30,
    scaling: { a_eps: 1 },
  };
  const generationConfig = { temperature: 2, repetition_penalty: 2, top_k: 2 };
  await writeModel(path, { ...PARTS, config, generationConfig });
  const text = ["config.json", "generation_config.json"]
    .map((name) => readFileSync(join(path, name), "utf8"))
    .join("");
  for (const line of [
    '"final_logit_softcapping": 30.0,',
    '"clip_qkv": 8.0,',
    '"initializer_cutoff_factor": 2.0,',
    '"router_jitter_noise": 0.0,',
    '"vocab_size": 30',
    '"a_eps": 1.0\n',
    '"repetition_penalty": 2.0,',
    '"temperature": 2.0,',
    '"top_k": 2\n',
  ]) {
    assert.ok(text.includes(line), `${line} in ${text}`);
  }
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  assert.deepEqual(checkpoint.config, config);
});

test("what writeModel() writes, openCheckpoint() opens", async () => {
  const path = join(root, "out", "model");
  await writeModel(path, PARTS);
  assert.deepEqual(readdirSync(path), [...MODEL_FILES].sort());
  const checkpoint = await openCheckpoint(path);
  assert.deepEqual(checkpoint.config, PARTS.config);
  assert.deepEqual(checkpoint.generationConfig, PARTS.generationConfig);
  assert.deepEqual(checkpoint.imageProcessor, PARTS.imageProcessor);
  assert.deepEqual(checkpoint.tokenizerFiles, PARTS.tokenizerFiles);
  assert.deepEqual(
    [...checkpoint.tensors.values()],
    [{ name: "w", shape: [2, 1], storage: "f32", sizeBytes: 8 }],
  );
  assert.deepEqual([...dequantize(await checkpoint.read("w"))], [1, 2]);
  await checkpoint.close();
});

test("the vocabulary of a folder stays while somebody holds it, and is parsed again later", async () => {
  const collectAll = findCollector()!;
  const collect = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    collectAll();
  };
  const path = join(root, "out", "vocabulary");
  await writeModel(path, PARTS);
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  const { tokenizerFiles } = checkpoint;
  const whileHeld = async (): Promise<WeakRef<object>> => {
    const tokenizer = tokenizerFiles?.tokenizer;
    await collect();
    assert.ok(tokenizer && tokenizerFiles?.tokenizer === tokenizer);
    return new WeakRef(tokenizer);
  };
  const held = await whileHeld();
  await collect();
  assert.equal(held.deref(), undefined);
  assert.deepEqual(tokenizerFiles, PARTS.tokenizerFiles);
});

test("a folder without optional files has null for them", async () => {
  const path = folder("bare", { "config.json": "{}" });
  await writeSafetensors(join(path, "model.safetensors"), [WEIGHT]);
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  assert.equal(checkpoint.generationConfig, null);
  assert.equal(checkpoint.tokenizerFiles, null);
});

test("16-bit weights keep their storage, and buffers of whole numbers are left out", async () => {
  const path = folder("half", { "config.json": "{}" });
  await writeSafetensors(join(path, "model.safetensors"), [
    ["half", hostTensor("float16", [1], new Uint16Array([0x3c00]))],
    ["brain", hostTensor("bfloat16", [1], new Uint16Array([0x4000]))],
    ["positions", hostTensor("int64", [1], new BigInt64Array(1))],
  ]);
  const checkpoint = await openCheckpoint(path);
  const storages = Object.fromEntries([...checkpoint.tensors].map(([name, { storage }]) => [name, storage]));
  assert.deepEqual(storages, { brain: "bf16", half: "f16" });
  assert.deepEqual([...dequantize(await checkpoint.read("half"))], [1]);
  assert.deepEqual([...dequantize(await checkpoint.read("brain"))], [2]);
  await assert.rejects(checkpoint.read("positions"), {
    code: "format/tensor",
    message: /int64, expected a float/,
  });
  await checkpoint.close();
});

test("a model in several files opens by its index", async () => {
  const path = folder("sharded", {
    "config.json": "{}",
    "model.safetensors.index.json":
      '{"weight_map": {"w": "model-1.safetensors", "v": "model-2.safetensors"}}',
  });
  await writeSafetensors(join(path, "model-1.safetensors"), [WEIGHT]);
  await writeSafetensors(join(path, "model-2.safetensors"), [["v", WEIGHT[1]]]);
  const checkpoint = await openCheckpoint(path);
  assert.deepEqual([...checkpoint.tensors.keys()], ["w", "v"]);
  assert.deepEqual([...dequantize(await checkpoint.read("v"))], [1, 2]);
  if (process.platform !== "win32") assert.deepEqual([...checkpoint.view("v")!.data], [1, 2]);
  await checkpoint.close();
});

test("what is asked of a checkpoint after it was closed is refused, in every form of files", async () => {
  const gguf = join(root, "closed.gguf");
  writeFileSync(gguf, buildTinyGguf());
  const closed = { code: "usage/state", message: /^Cannot read file ".*closed.*": it is closed/ };
  const safetensors = join(root, "closed");
  await writeModel(safetensors, PARTS);
  for (const path of [gguf, safetensors]) {
    const checkpoint = await openCheckpoint(path);
    await checkpoint.close();
    for (const name of [...checkpoint.tensors.keys()].slice(0, 2)) {
      await assert.rejects(checkpoint.read(name), closed);
      await assert.rejects(checkpoint.readInto(name, new Float32Array(1)), closed);
      // Matrices in few bits have no view as float32.
      if (path === safetensors) assert.throws(() => checkpoint.view(name), closed);
    }
  }
});

test("the chat template is that of chat_template.jinja, else that of tokenizer_config.json", async () => {
  const named = [
    { name: "tool_use", template: "T" },
    { name: "default", template: "D" },
  ];
  for (const [name, config, jinja, expected] of [
    ["template-file", { chat_template: "old" }, "J", "J"],
    ["template-text", { chat_template: "S" }, null, "S"],
    ["template-list", { chat_template: named }, null, "D"],
    ["template-none", {}, null, null],
  ] as const) {
    const path = folder(name, {
      "config.json": "{}",
      "tokenizer.json": "{}",
      "tokenizer_config.json": JSON.stringify(config),
      ...(jinja === null ? {} : { "chat_template.jinja": jinja }),
    });
    await writeSafetensors(join(path, "model.safetensors"), [WEIGHT]);
    const checkpoint = await openCheckpoint(path);
    await checkpoint.close();
    assert.equal(checkpoint.tokenizerFiles?.chatTemplate, expected);
  }
});

test("a template for tools is found beside the default one, in a list or as transformers 5 writes it", async () => {
  const named = [
    { name: "default", template: "D" },
    { name: "tool_use", template: "T" },
  ];
  for (const [name, config, files] of [
    ["tools-list", { chat_template: named }, {}],
    ["tools-file", {}, { "chat_template.jinja": "D", "additional_chat_templates/tool_use.jinja": "T" }],
  ] as const) {
    const parts = { "tokenizer.json": "{}", "tokenizer_config.json": JSON.stringify(config) };
    const tokenizerFiles = await readTokenizerFiles(memoryFolder(name, { ...parts, ...files }));
    assert.ok(tokenizerFiles);
    assert.equal(tokenizerFiles.chatTemplate, "D");
    assert.deepEqual(tokenizerFiles.config["chat_template"], named);
    // As a file beside it, the default one would be all that transformers reads.
    const written = modelFolderFiles({ config: {}, generationConfig: null, tokenizerFiles, tensors: [] });
    assert.ok(!written.some((file) => file.name === "chat_template.jinja"));
  }
});

test("a .gguf file opens by itself, or as the one such file of a folder", async () => {
  const path = folder("gguf", {});
  const file = join(path, "tiny.gguf");
  writeFileSync(file, buildTinyGguf());
  for (const each of [file, path]) {
    const checkpoint = await openCheckpoint(each);
    assert.equal(checkpoint.path, file);
    assert.equal(checkpoint.config["model_type"], "llama");
    assert.equal(checkpoint.tokenizerFiles?.chatTemplate, "{{ messages }}");
    await checkpoint.close();
  }
  writeFileSync(join(path, "second.gguf"), buildTinyGguf());
  await assert.rejects(openCheckpoint(path), {
    code: "format/file",
    message: /2 \.gguf files, expected one/,
  });
});

const BAD: readonly [string, Record<string, string>, string, RegExp][] = [
  [
    "nothing",
    {},
    "format/file",
    /it is an empty folder, expected a folder with config\.json or a \.gguf file/,
  ],
  ["no weights", { "config.json": "{}" }, "format/file", /no weights, expected model\.safetensors/],
  [
    "pickled weights alone",
    { "config.json": "{}", "pytorch_model.bin": "" },
    "format/file",
    /only pytorch_model\.bin, expected model\.safetensors/,
  ],
  ["a broken config", { "config.json": '{"a"', "model.safetensors": "" }, "format/json", /config\.json/],
  [
    "broken weights",
    { "config.json": "{}", "model.safetensors": "short" },
    "format/file",
    /5 bytes, expected/,
  ],
  [
    "a broken tokenizer",
    { "config.json": "{}", "tokenizer.json": "[]" },
    "format/json",
    /tokenizer\.json": an array/,
  ],
];

for (const [what, files, code, message] of BAD) {
  test(`openCheckpoint() refuses a folder with ${what}`, async () => {
    const path = folder(`bad ${what}`, files);
    await assert.rejects(openCheckpoint(path), (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.ok(error.message.includes(path));
      assert.ok(error.hint);
      return true;
    });
  });
}

test("openCheckpoint() refuses a path that is missing, a plain file, truncated weights and odd float types", async () => {
  await assert.rejects(openCheckpoint(join(root, "no")), { code: "format/file", message: /no such file/ });
  const path = folder("cut", { "config.json": "{}" });
  const plain = join(path, "config.json");
  await assert.rejects(openCheckpoint(plain), {
    code: "format/file",
    message: /it is a JSON file, expected a model folder/,
  });
  const weights = join(path, "model.safetensors");
  await writeSafetensors(weights, [WEIGHT]);
  truncateSync(weights, 100);
  await assert.rejects(openCheckpoint(path), { code: "format/file", message: /100 bytes, expected/ });
  const header = Buffer.from('{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}');
  writeFileSync(
    weights,
    Buffer.concat([Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]), header, Buffer.alloc(8)]),
  );
  await assert.rejects(openCheckpoint(path), { code: "format/tensor", message: /"w" .+ F64, expected F32/ });
});

test("writeModel() writes nothing when a tensor fails or the place cannot be written", async () => {
  const file = join(root, "plain-file");
  writeFileSync(file, "");
  await assert.rejects(writeModel(join(file, "model"), PARTS), { code: "failed/write" });
  const failing = {
    dtype: "float32" as const,
    shape: [1],
    load: () => Promise.reject(new Error("no tensor")),
  };
  await assert.rejects(writeModel(join(root, "never"), { ...PARTS, tensors: [["w", failing]] }), /no tensor/);
  assert.ok(!readdirSync(root).some((name) => name.includes("never")));
});

/** @file What a browser may import: nothing of Node in reach, and models, adapters and data without a disk. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as core from "../../src/core.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { safetensorsFile } from "../../src/format/files/safetensors/safetensors-writer.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { readImports, reachable } from "./import-graph.ts";
import { buildTinyGguf } from "../tiny/gguf.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

type Files = Record<string, core.FileContents>;

function filesOf(path: string): Files {
  return Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));
}

/** Fills planned files in memory. */
async function fill(planned: readonly core.FolderFile[]): Promise<Files> {
  const files: Files = {};
  for (const file of planned) {
    const pieces: Uint8Array[] = [];
    await file.fill(async (bytes) => void pieces.push(bytes.slice()));
    files[file.name] = Buffer.concat(pieces);
  }
  return files;
}

const path = await writeTinyModel(temporaryFolder());
const files = filesOf(path);

describe("graft/core", () => {
  test("reaches nothing of Node and no engine", () => {
    const from = reachable(readImports(), "core.ts");
    assert.ok(from.size > 100, `${from.size} files`);
    const bad = [...from].filter(([to]) => /^node:|^onnxruntime/.test(to));
    assert.deepEqual(bad, []);
  });

  test("is made of files that do nothing by being imported, so that bundlers leave out what is not used", () => {
    const read = (name: string): string => readFileSync(join(import.meta.dirname, "../..", name), "utf8");
    assert.equal((JSON.parse(read("package.json")) as { sideEffects: boolean }).sideEffects, false);
    const files = [...reachable(readImports(), "core.ts").keys()].filter((name) => name.endsWith(".ts"));
    assert.ok(files.length > 100);
    assert.deepEqual(
      files.filter((name) => /^import ["']/m.test(read(`src/${name}`))),
      [],
    );
  });

  test("loads and reads a table without Node, and its packages ask for nothing of Node", () => {
    const args = ["--conditions=browser", join(import.meta.dirname, "browser-imports.ts")];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    const row = { value: { text: 'a, "b"', label: "é" }, source: { file: "rows.csv", line: 2 } };
    assert.equal(stdout.trim(), JSON.stringify({ asked: [], row }), stderr);
  });

  test("a model in memory has the tensors of the model on the disk, also as blobs and in several files", async () => {
    const { base: expected, checkpoint: onDisk } = await loadModel(path);
    const names = [...onDisk.tensors.keys()];
    const { "model.safetensors": _, ...others } = files;
    const tensors = await Promise.all(
      names.map(async (name) => [name, (await onDisk.read(name)).planes["data"]!] as const),
    );
    const shards = await fill([
      safetensorsFile("m-1.safetensors", tensors.slice(0, 3)),
      safetensorsFile("m-2.safetensors", tensors.slice(3)),
    ]);
    const weightMap = Object.fromEntries(
      names.map((name, i) => [name, i < 3 ? "m-1.safetensors" : "m-2.safetensors"]),
    );
    const index = JSON.stringify({ weight_map: weightMap });
    for (const held of [
      files,
      Object.fromEntries(
        Object.entries(files).map(([name, bytes]) => [name, new Blob([bytes as Uint8Array<ArrayBuffer>])]),
      ),
      { ...others, ...shards, "model.safetensors.index.json": index },
    ]) {
      const checkpoint = await core.openCheckpoint(core.memoryFolder("tiny", held));
      const base = await core.loadWeights("tiny", checkpoint);
      assert.deepEqual([...checkpoint.tensors.keys()].sort(), names.toSorted());
      assert.deepEqual(checkpoint.tokenizerFiles, onDisk.tokenizerFiles);
      for (const name of names) assert.deepEqual(await base.values(name), await expected.values(name));
      await checkpoint.close();
    }
    await onDisk.close();
  });

  test("a GGUF file in memory opens, and a folder that holds no model says what it lacks", async () => {
    const folder = core.memoryFolder("gguf", { "tiny.gguf": buildTinyGguf() });
    const checkpoint = await core.openCheckpoint(folder);
    assert.equal(checkpoint.format, "gguf");
    const tensor = [...checkpoint.tensors.values()][0]!;
    assert.deepEqual((await checkpoint.read(tensor.name)).shape, tensor.shape);
    await assert.rejects(core.openCheckpoint("a/path" as never), {
      code: "usage/model",
      message: 'Cannot open a model by "a/path": expected a Folder',
    });
    await assert.rejects(core.openCheckpoint(core.memoryFolder("empty", {})), {
      code: "format/file",
      message: /"empty": it is an empty folder, expected a folder with config\.json or a \.gguf file/,
    });
  });

  test("an adapter goes into files in memory and comes back with its numbers", async () => {
    const checkpoint = await core.openCheckpoint(core.memoryFolder("tiny", files));
    const base = await core.loadWeights("tiny", checkpoint);
    const method = core.METHODS.find(({ name }) => name === "lora")!;
    const adapter = await core.attach(base, { method, options: {} }, new core.Random(7));
    const random = new core.Random(8);
    const valuesOf = (of: core.Adapter): Float32Array[] =>
      of.parameters.map(({ name }) => (of.tensor(name) as { data: Float32Array }).data);
    for (const values of valuesOf(adapter)) values.forEach((_, i) => (values[i] = random.uniform() - 0.5));
    const baseRecord = await core.recordBase(base);
    const origin = { base, checkpoint, chatTemplateHash: "h", baseRecord };
    const written = await fill(core.adapterFiles(adapter, origin));
    const read = await core.readAdapter(core.memoryFolder("adapter", written), base);
    assert.equal(read.chatTemplateHash, "h");
    assert.ok(adapter.parameters.length > 0);
    assert.deepEqual(valuesOf(read.adapter), valuesOf(adapter));
    const { "adapter_config.json": _, ...others } = written;
    await assert.rejects(core.readAdapter(core.memoryFolder("adapter", others), base), {
      code: "format/file",
      message: /"adapter": it is an adapter without adapter_config\.json/,
    });
  });

  test("examples come from text, with errors that name the file", () => {
    const tokenizerFiles = byteTokenizerFiles();
    const options = {
      tokenizer: core.createTokenizer(tokenizerFiles),
      template: core.createChatTemplate(tokenizerFiles),
      maxLength: 64,
    };
    const { examples } = core.readExamples('{"text":"ab"}\n{"text":"c"}\n', "rows.jsonl", options);
    assert.deepEqual(
      examples.map(({ source }) => source.line),
      [1, 2],
    );
    assert.throws(() => core.readExamples("{", "rows.jsonl", options), {
      code: "format/json",
      message: /rows\.jsonl:1/,
    });
    assert.throws(() => core.readExamples("", "rows.parquet", options), {
      message: /expected a name that ends in \.jsonl, .*\.tsv, \.txt, \.md, \.markdown$/,
    });
  });
});

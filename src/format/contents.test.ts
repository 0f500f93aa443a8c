import assert from "node:assert/strict";
import { test } from "node:test";

import { describeFileName, describeFolder } from "./contents.ts";
import { memoryFolder } from "./files/memory-folder.ts";

const CASES: readonly [what: string, names: readonly string[], hint: RegExp][] = [
  ["a whole model", ["config.json", "model.safetensors"], /--model/],
  ["a whole model", ["x.gguf"], /--model/],
  ["a model folder without weights", ["config.json", "tokenizer.json"], /download is complete/],
  ["an adapter of mlx-lm", ["adapters.safetensors"], /peft/],
  [
    "a run without a result, with 2 checkpoints",
    ["log.jsonl", "checkpoint-9", "checkpoint-10"],
    /given\/checkpoint-10\./,
  ],
  ["a data folder", ["train.jsonl", "valid.jsonl"], /--data/],
  ["an empty folder", [], /path/],
  ["a folder with a, b, c, d and 1 more", ["a", "b", "c", "d", "e"], /path/],
];

test("a folder is told by the names in it", async () => {
  for (const [what, names, hint] of CASES) {
    const folder = memoryFolder("given", Object.fromEntries(names.map((name) => [name, ""])));
    const found = await describeFolder(folder);
    assert.equal(found.what, what);
    assert.match(found.hint, hint);
  }
});

test("an adapter is told with its kind and its base", async () => {
  const config = JSON.stringify({ peft_type: "LORA", base_model_name_or_path: "o/base" });
  const { what, hint } = await describeFolder(memoryFolder("given", { "adapter_config.json": config }));
  assert.equal(what, "an adapter (LORA)");
  assert.equal(hint, 'Give it as adapter (--adapter), together with its model "o/base" (--model).');
});

test("a file is told by its name", () => {
  const told = (path: string): string => describeFileName(path).what;
  assert.equal(told("a/x.jsonl"), "a data file");
  assert.equal(told("a/x.gguf"), "a GGUF file");
  assert.equal(told("a/adapter_model.safetensors"), "a file of an adapter");
  assert.equal(told("a/adapter_config.json"), "a file of an adapter");
  assert.equal(told("a/model.safetensors"), "a file");
  assert.equal(told("run.yaml"), "a settings file");
});

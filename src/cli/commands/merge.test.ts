/** `graft merge` as people call it, on a tiny random model. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";

const folder = temporaryFolder();
const config = { hidden_size: 64, intermediate_size: 96 };
const model = await writeTinyModel(join(folder, "model"), { config });
const data = writeTinyChats(join(folder, "chats.jsonl"), 3);
const adapter = await writeTinyAdapter(model, join(folder, "adapter"), "lora", 3, {
  options: { rank: 2 },
  deviation: 0.2,
});

const run = (words: readonly string[], signal?: AbortSignal): Promise<Said> =>
  runMain(["merge", "--threads", "1", ...words], { GRAFT_HOME: folder }, { signal });

const merge = (output: string, ...flags: string[]): ReturnType<typeof run> =>
  run(["--model", model, "--adapter", adapter, "--output", join(folder, output), ...flags]);

test("graft merge writes a folder that has the loss of model and adapter, and one JSON object", async () => {
  const { status, stdout, stderr } = await merge("merged", "--eval-data", data, "--json");
  assert.equal(status, 0, stderr);
  const { loss_before, loss_after, ...event } = JSON.parse(stdout) as Record<string, unknown>;
  assert.ok(Math.abs(Number(loss_before) - Number(loss_after)) < 1e-5);
  assert.deepEqual(event, {
    event: "done",
    output: join(folder, "merged"),
    format: "hf",
    changed_tensors: 14,
    substitutes: [],
    rounded_tensors: 0,
    mean_error: 0,
    worst_error: 0,
    worst_tensor: null,
    lost_change: 0,
    tokens: event["tokens"],
  });
  assert.ok(Number(event["tokens"]) > 10);
  assert.deepEqual(readdirSync(join(folder, "merged")), [
    "README.md",
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
});

test("graft merge into a .gguf file with --dtype q4_0 says what rounding costs, and the file can be merged into again", async () => {
  const first = await merge("small.gguf", "--dtype", "q4_0", "--eval-data", data);
  assert.equal(first.status, 0, first.stderr);
  assert.match(first.stdout, /^14 tensors merged; the model is in .*small\.gguf\n/);
  assert.match(
    first.stdout,
    /rounding changed 15 tensors by [\d.]+ % on average, [\d.]+ % at most \(model\./,
  );
  assert.match(first.stdout, /loss \d+\.\d{4} with the adapter, \d+\.\d{4} merged, over \d+ tokens/);
  const words = ["--model", join(folder, "small.gguf"), "--adapter", adapter];
  const third = await run([...words, "--output", join(folder, "of-file"), "--json"]);
  assert.equal(third.status, 0, third.stderr);
  assert.equal(
    (JSON.parse(third.stdout) as { format: string }).format,
    "hf",
    "a name without .gguf is a folder's",
  );
  const second = await run([...words, "--output", join(folder, "twice.gguf"), "--json"]);
  assert.equal(second.status, 0, second.stderr);
  assert.equal((JSON.parse(second.stdout) as { format: string }).format, "gguf");
});

test("graft merge refuses outputs and types before any work", async () => {
  for (const [output, flags, says] of [
    ["merged", [], /usage\/output.*it is not empty/],
    ["model/inside", [], /usage\/output.*is inside the model/],
    ["adapter/inside", [], /usage\/output.*is inside the adapter/],
    ["new", ["--to", "gguf"], /usage\/output.*name ends in \.gguf\nhint: .* merge --to hf/],
    ["new.gguf", ["--to", "hf"], /usage\/output.*name ends in \.gguf, expected a folder\nhint: .* --to gguf/],
    ["new", ["--dtype", "q8_0"], /usage\/flag.*folder of type q8_0/],
    ["new", ["--eval-data", join(folder, "none.jsonl")], /none\.jsonl/],
  ] as const) {
    const { status, stdout, stderr } = await merge(output, ...flags);
    assert.notEqual(status, 0);
    assert.equal(stdout, "");
    assert.match(stderr, says);
    assert.match(stderr, /\nhint: /);
    for (const name of ["new", "new.gguf"]) assert.ok(!existsSync(join(folder, name)));
  }
});

test("graft merge that is interrupted leaves nothing", async () => {
  const words = ["--model", model, "--adapter", adapter, "--output", join(folder, "stopped")];
  const { status } = await run(words, AbortSignal.abort());
  assert.notEqual(status, 0);
  assert.ok(!readdirSync(folder).some((name) => name.includes("stopped")));
});

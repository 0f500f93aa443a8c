/** @file `graft fisher`: what it stores and tells, and what it refuses before it computes. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSafetensors } from "../../format/by-path.ts";
import { findMethod } from "../../peft/methods.ts";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const { base, checkpoint } = await openUntilEnd(model, { name: "tiny" });
const data = join(folder, "data.txt");
writeFileSync(data, "The quick brown fox jumps over the lazy dog. ".repeat(4));

async function written(method: string): Promise<string> {
  const adapter = await attachTo(base, findMethod(method));
  perturb(adapter, 0.1);
  return await saveAdapter(join(folder, method), adapter, { base, checkpoint });
}

const run = (...words: readonly string[]): Promise<Said> =>
  runMain(["fisher", "--data", data, "--max-length", "32", ...words], { GRAFT_HOME: folder });

for (const [method, words, path] of [
  ["lora", ["--model", model, "--adapter", join(folder, "lora")], join(folder, "lora")],
  ["full", ["--model", join(folder, "full")], join(folder, "full")],
] as const) {
  test(`graft fisher stores a number for each that ${method} trains, beside it`, async () => {
    await written(method);
    const before = readdirSync(path);
    const { status, stdout, stderr } = await run(...words, "--max-examples", "3", "--json");
    assert.equal(status, 0, stderr);
    const file = await openSafetensors(join(path, "fisher.safetensors"));
    let [count, sum] = [0, 0];
    for (const name of file.tensors.keys()) {
      const values = [...((await file.read(name)).data as Float32Array)];
      count += values.length;
      sum += values.reduce((a, b) => a + b, 0);
    }
    await file.close();
    assert.ok(sum > 0);
    assert.deepEqual(JSON.parse(stdout), {
      event: "done",
      output: join(path, "fisher.safetensors"),
      examples: 3,
      parameters: count,
    });
    assert.deepEqual(readdirSync(path), [...before, "fisher.safetensors"].sort());
  });
}

test("graft fisher looks at the training files of a folder, not at those that are held out", async () => {
  const both = join(folder, "both");
  mkdirSync(both);
  for (const [part, count] of [
    ["train", 3],
    ["valid", 1],
  ] as const) {
    writeFileSync(join(both, `${part}.jsonl`), '{"text": "The quick brown fox"}\n'.repeat(count));
  }
  const adapter = await written("lora");
  const { status, stdout, stderr } = await runMain(
    ["fisher", "--data", both, "--model", model, "--adapter", adapter],
    { GRAFT_HOME: folder },
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, / numbers on 3 examples: /);
});

test("graft fisher refuses turns, a model that is nobody's folder, and one that is trained and rounded", async () => {
  const road = await written("road");
  const turns = await run("--model", model, "--adapter", road);
  assert.equal(turns.status, 2);
  assert.match(turns.stderr, /method "road" by Fisher information: .*not linear/);
  assert.ok(!existsSync(join(road, "fisher.safetensors")));
  const gguf = join(folder, "some.gguf");
  writeFileSync(gguf, "");
  const file = await run("--model", gguf);
  assert.equal(file.status, 2);
  assert.match(file.stderr, /it is not a local model folder[\s\S]*--adapter/);
  const rounded = await run("--model", await written("full"), "--base", "q8_0");
  assert.equal(rounded.status, 2);
  assert.match(rounded.stderr, /use --base q8_0 with method "full": .*expected a frozen base/);
});

test("graft fisher refuses a place that cannot be written before it estimates", async () => {
  const adapter = await written("ia3");
  mkdirSync(join(adapter, "fisher.safetensors"));
  const { status, stderr } = await run("--model", model, "--adapter", adapter);
  assert.equal(status, 2);
  assert.match(stderr, /Cannot write to output ".*fisher\.safetensors": it is a folder, expected a file/);
});

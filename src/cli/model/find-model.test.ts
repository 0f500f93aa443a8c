/** Commands on an adapter without --model, and folders in the wrong place, on a tiny random model. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";

import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { train } from "../../train/trainer.ts";
import { servedName } from "./find-model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";

const folder = temporaryFolder();
const [model, adapter] = [`${folder}/model`, `${folder}/adapter`];
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);

before(async () => {
  await writeTinyModel(model);
  await train({ model, data, output: adapter, steps: 2, learningRate: 0.01 });
});

const run = (...words: string[]): Promise<Said> =>
  runMain(words, { GRAFT_HOME: folder, HF_HUB_OFFLINE: "1", HOME: folder });

/** Writes other settings into the adapter for as long as a test runs. */
async function withSettings(changed: object, body: () => Promise<void>): Promise<void> {
  const path = `${adapter}/adapter_config.json`;
  const before = readFileSync(path, "utf8");
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(before) as object), ...changed }));
  await body().finally(() => writeFileSync(path, before));
}

test("clients know a model that was named by its path by the last part of it", () => {
  const cases: [name: string, path: string, served: string][] = [
    ["/models/bert", "/models/bert", "bert"],
    ["../models/bert", "/models/bert", "bert"],
    ["./small.gguf", "/models/small.gguf", "small"],
    ["owner/bert", "/cache/owner/bert", "owner/bert"],
  ];
  for (const [name, path, served] of cases) assert.equal(servedName({ name, path }), served);
});

test("an adapter brings its model along, and the command says so", async () => {
  const evaluated = await run("eval", "--adapter", adapter, "--data", data);
  assert.equal(evaluated.stderr, `Model: ${model}, for which the adapter was made\n`);
  assert.deepEqual(
    evaluated.stdout,
    (await run("eval", "--model", model, "--adapter", adapter, "--data", data)).stdout,
  );
  const generated = await run("generate", "--adapter", adapter, "--prompt", "ka", "--max-new-tokens", "3");
  assert.deepEqual([generated.status, generated.stderr], [0, evaluated.stderr]);
  const merged = await run("merge", "--adapter", adapter, "--output", `${folder}/merged`);
  assert.equal(merged.status, 0, merged.stderr);
  assert.ok(existsSync(`${folder}/merged/config.json`));
});

test("data so large that a thread reads them are evaluated as others are", async () => {
  process.env["GRAFT_HOME"] = folder; // where what the thread read is kept
  const [large, small] = ["large", "small"].map((name) => `${folder}/${name}.jsonl`) as [string, string];
  for (const [path, repeats] of [
    [large, 600_000],
    [small, 100],
  ] as const) {
    const row = JSON.stringify({ prompt: "ka", completion: "la".repeat(repeats) });
    writeFileSync(path, `${row}\n`);
  }
  const [ofLarge, ofSmall] = [
    await run("eval", "--adapter", adapter, "--data", large, "--max-length", "16"),
    await run("eval", "--adapter", adapter, "--data", small, "--max-length", "16"),
  ];
  assert.equal(ofLarge.status, 0, ofLarge.stderr);
  assert.equal(ofLarge.stdout, ofSmall.stdout);
});

test("a model that cannot be found, or is not named, is asked for", async () => {
  await withSettings({ base_model_name_or_path: "./elsewhere" }, async () => {
    const { status, stderr } = await run("eval", "--adapter", adapter, "--data", data);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /Cannot find model "\.\/elsewhere", for which adapter ".*adapter" was made: .*\nhint: Give the model as --model/,
    );
  });
  await withSettings({ base_model_name_or_path: null }, async () => {
    const { status, stderr } = await run("merge", "--adapter", adapter, "--output", `${folder}/other`);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /base_model_name_or_path of adapter_config\.json is null, expected a name\nhint: .*--model/,
    );
  });
});

test("folders and files in the wrong place are told with what they are and where they go", async () => {
  for (const [words, found, hint] of [
    [
      ["merge", "--adapter", model, "--output", `${folder}/x`],
      /it is a whole model/,
      /Give it as model \(--model\)/,
    ],
    [
      ["eval", "--model", adapter, "--data", data],
      /it is an adapter \(LORA\)/,
      /--adapter\), together with its model ".*model"/,
    ],
    [["eval", "--model", model, "--data", adapter], /it is an adapter/, /--adapter/],
    [["eval", "--model", data, "--data", data], /it is a data file/, /--data/],
    [["eval", "--model", model, "--adapter", data, "--data", data], /it is a data file/, /--data/],
    [
      ["train", "--model", model, "--data", model, "--output", `${folder}/x`],
      /it is a whole model/,
      /--model/,
    ],
    [
      ["eval", "--model", model, "--adapter", `${folder}/none`, "--data", data],
      /no such file, expected an adapter/,
      /folder/,
    ],
  ] as const) {
    const { status, stderr } = await run(...words);
    assert.notEqual(status, 0);
    assert.match(stderr, found);
    assert.match(stderr.split("\nhint: ")[1] ?? "", hint);
  }
});

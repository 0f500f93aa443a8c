/** @file Every command that writes a model writes settings as floats that were floats in its base, also those that graft does not know. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const root = temporaryFolder();
const at = (name: string): string => join(root, name);

async function run(words: string): Promise<void> {
  const { status, stderr } = await runMain(words.replaceAll("@", `${root}/`).split(" "), {
    GRAFT_HOME: root,
  });
  assert.equal(status, 0, stderr);
}

before(async () => {
  await writeTinyModel(at("base"));
  const path = join(at("base"), "config.json");
  writeFileSync(path, readFileSync(path, "utf8").replace('"rope_theta": 10000', '"rope_theta": 10000.0'));
  writeTinyChats(at("chats.jsonl"), 2);
  const training = "train --model @base --data @chats.jsonl --steps 1 --threads 1";
  await run(`${training} --method full --output @full`);
  await run(`${training} --method lora --output @lora`);
});

for (const [output, words] of [
  ["full", null],
  ["merged", "merge --model @base --adapter @lora --output @merged"],
  ["combined", "combine 0.5*a+0.5*b --adapter a=@full --adapter b=@full --output @combined"],
  ["onnx", "export --model @base --output @onnx"],
] as const) {
  test(`in the folder "${output}"`, async () => {
    if (words !== null) await run(words);
    const text = readFileSync(join(at(output), "config.json"), "utf8");
    assert.match(text, /"rope_theta": 10000\.0,/);
    assert.match(text, /"hidden_size": 32,/);
  });
}

/** @file Every command that takes a flag of the model acts by it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { COMMANDS } from "../commands.ts";

const folder = temporaryFolder();
// No row of its matrices fills a block.
const model = await writeTinyModel(join(folder, "model"), {
  config: { hidden_size: 16, intermediate_size: 16 },
});
const data = writeTinyChats(join(folder, "chats.jsonl"), 2);

/** What a call needs beside the model; null: it needs a database before it reads one. */
const WORDS: Readonly<Record<string, readonly string[] | null>> = {
  plan: [],
  train: ["--data", data, "--output", join(folder, "run")],
  eval: ["--data", data],
  fisher: ["--data", data],
  classify: ["--text", "ka"],
  generate: ["--prompt", "ka"],
  chat: [],
  serve: ["--port", "0"],
  worker: null,
  "data show": [data],
};

for (const [key, words, told] of [
  ["base", ["--base", "q8_0"], /Cannot quantize base ".*" to q8_0: no matrix/],
  ["chatTemplate", ["--chat-template", join(folder, "none")], /Cannot read chat template ".*none"/],
] as const) {
  test(`no command takes ${words[0]} for nothing`, async () => {
    for (const command of COMMANDS) {
      const { name, options } = await command.load();
      if (!(key in options.shape)) continue;
      const others = WORDS[name];
      assert.notEqual(others, undefined, `what graft ${name} needs`);
      if (others === null || others === undefined) continue;
      const all = [...name.split(" "), ...others, "--model", model, ...words];
      const { status, stderr } = await runMain(all, { GRAFT_HOME: folder });
      assert.match(stderr, told, name);
      assert.equal(status, 2, name);
    }
  });
}

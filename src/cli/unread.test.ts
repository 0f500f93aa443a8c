/** @file What becomes of a command whose standard output nobody reads any more, as behind `| head -1`. */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../test/tiny/model.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const data = writeTinyChats(join(folder, "chats.jsonl"), 6);
const onModel = ["--model", model, "--threads", "1"];

/** Starts the program with a standard output that is closed at once. */
function startUnread(...words: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [MAIN, ...words], {
    env: { ...process.env, GRAFT_HOME: folder },
  });
  child.stdout.destroy();
  return child;
}

async function outcome(child: ChildProcessWithoutNullStreams): Promise<[status: number, stderr: string]> {
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
  return [status as number, stderr];
}

for (const form of [[], ["--json"]]) {
  test(`graft train ${form.join()} goes on to the end, and leaves its adapter`, async () => {
    const output = join(folder, `adapter${form.join()}`);
    const settings = ["--data", data, "--output", output, "--steps", "3", "--max-length", "64"];
    const [status, stderr] = await outcome(startUnread("train", ...onModel, ...settings, ...form));
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(join(output, "adapter_model.safetensors")), stderr);
  });
}

test("graft generate --prompts goes on where the texts are kept in a file", async () => {
  const output = join(folder, "texts.jsonl");
  const settings = ["--prompts", data, "--output", output, "--max-new-tokens", "2"];
  const [status, stderr] = await outcome(startUnread("generate", ...onModel, ...settings));
  assert.equal(status, 0, stderr);
  assert.ok(existsSync(output), stderr);
});

test("graft chat ends quietly with its first answer, though there may be more to ask", async () => {
  const child = startUnread("chat", ...onModel, "--max-new-tokens", "2");
  child.stdin.write("hello\n");
  const [status, stderr] = await outcome(child);
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /error/);
});

test("graft keys add keeps no key that nobody could read", async () => {
  const state = join(folder, "state");
  const add = ["keys", "add", "alice", "--state", state];
  for (const form of [[], ["--json"]]) {
    const [status, stderr] = await outcome(startUnread(...add, ...form));
    assert.equal(status, 1, stderr);
    assert.match(
      stderr,
      /^error\[failed\/write\]: Cannot write the output: nobody reads it, .*\nhint: .*\n$/,
    );
  }
  if (existsSync("/dev/full")) {
    const script = '"$@" > /dev/full';
    const full = spawnSync("sh", ["-c", script, "sh", process.execPath, MAIN, ...add], { encoding: "utf8" });
    assert.equal(full.status, 1);
    assert.match(full.stderr, /^error\[failed\/write\]: Cannot write the output: ENOSPC, .*\nhint: .*\n$/);
  }
  assert.equal(existsSync(state), false);
});

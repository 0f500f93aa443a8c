/** @file The folder of shards as such; what runs do with it is in test/train/shards. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { ShardFolder } from "./shard-folder.ts";

test("what is written while a run ends is removed with the rest", async () => {
  const folder = new ShardFolder(temporaryFolder());
  const numbers = new Uint8Array(1 << 20).fill(7);
  await folder.write(0, numbers);
  const writing = Promise.all([1, 2, 3].map((index) => folder.write(index, numbers)));
  const next = writing.then(() => folder.write(4, numbers));
  await folder.close();
  assert.ok(!existsSync(folder.path));
  await next;
  assert.ok(!existsSync(folder.path));
});

test("a folder that is named like a shard is somebody else's: it is refused, and stays", async () => {
  const folder = new ShardFolder(temporaryFolder());
  mkdirSync(`${folder.path}/000000.shard`, { recursive: true });
  writeFileSync(`${folder.path}/000000.shard/notes.txt`, "mine");
  await assert.rejects(folder.sweep({ isNeeded: true }), {
    code: "usage/output",
    message: /it contains "000000.shard"/,
  });
  await folder.sweep({ isNeeded: false });
  assert.deepEqual(readdirSync(`${folder.path}/000000.shard`), ["notes.txt"]);
});

test("what comes into the folder while a run works stays when it ends", async () => {
  const folder = new ShardFolder(temporaryFolder());
  await folder.write(0, new Uint8Array(8));
  writeFileSync(`${folder.path}/notes.txt`, "mine");
  await folder.close();
  assert.deepEqual(readdirSync(folder.path), ["notes.txt"]);
});

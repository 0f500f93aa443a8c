/** @file The folder of shards as such; what runs do with it is in test/train/shards. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
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

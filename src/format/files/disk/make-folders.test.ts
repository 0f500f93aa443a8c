import assert from "node:assert/strict";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { writeTextAtomic } from "../atomic.ts";
import { makeFolders, removeFolders } from "./make-folders.ts";

const root = temporaryFolder();

test("makeFolders() makes what is missing and says what it made; removeFolders() leaves what holds something", async () => {
  const path = join(root, "a", "b", "c");
  assert.deepEqual(await makeFolders(path), [path, join(root, "a", "b"), join(root, "a")]);
  assert.deepEqual(await makeFolders(path), []);
  writeFileSync(join(root, "a", "kept"), "");
  await removeFolders([path, join(root, "a", "b"), join(root, "a")]);
  assert.ok(!existsSync(join(root, "a", "b")) && existsSync(join(root, "a", "kept")));
});

test("makeFolders() called many times at once makes each folder once", async () => {
  const path = join(root, "at", "once", "deep");
  const made = await Promise.all(Array.from({ length: 8 }, () => makeFolders(path)));
  assert.ok(statSync(path).isDirectory());
  assert.equal(made.flat().length, 3);
});

test("makeFolders() leaves nothing when a file is in the way", async () => {
  mkdirSync(join(root, "way"));
  writeFileSync(join(root, "way", "file"), "");
  await assert.rejects(makeFolders(join(root, "way", "file")), { code: "EEXIST" });
  await assert.rejects(makeFolders(join(root, "way", "file", "x")), { code: /ENOTDIR|EEXIST/ });
});

test("writing where nothing can be made ends at once", { skip: !existsSync("/proc/self") }, async () => {
  await assert.rejects(writeTextAtomic("/proc/graft/deep/file", ""), { code: "failed/write" });
});

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { makeFolder } from "./staging.ts";

let root = "";
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "graft-staging-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("makeFolder() shows the folder only when it is full", async () => {
  const target = join(root, "a", "model");
  await makeFolder(target, "x", async (folder) => {
    await writeFile(join(folder, "file"), "1");
    assert.equal(existsSync(target), false);
  });
  assert.deepEqual(readdirSync(target), ["file"]);
  assert.deepEqual(readdirSync(join(root, "a")), ["model"]);
});

test("makeFolder() hands the files of a failed call to the next one of the same purpose only", async () => {
  const target = join(root, "model");
  const failing = makeFolder(target, "x", async (folder) => {
    await writeFile(join(folder, "half"), "1");
    throw new Error("broken off");
  });
  await assert.rejects(failing, /broken off/);
  await assert.rejects(
    makeFolder(target, "y", async (folder) => {
      assert.deepEqual(readdirSync(folder), []);
      throw new Error("seen");
    }),
    /seen/,
  );
  await makeFolder(target, "x", async (folder) => assert.deepEqual(readdirSync(folder), ["half"]));
  assert.deepEqual(readdirSync(root), ["model"]);
});

test("makeFolder() takes over what a dead process left, and not what a living one holds", async () => {
  const host = hostname().replaceAll(/[^A-Za-z0-9]/g, "");
  // No process has this number: it is above the largest that Linux gives.
  const dead = join(root, `model.x.partial-${host}-4194999-abcd`);
  const living = join(root, `model.x.partial-${host}-${process.pid}-abcd`);
  const foreign = join(root, `model.x.partial-elsewhere-4194999-abcd`);
  for (const folder of [dead, living, foreign]) {
    mkdirSync(folder);
    writeFileSync(join(folder, "bytes"), folder);
  }
  await makeFolder(join(root, "model"), "x", async () => {});
  assert.equal(readFileSync(join(root, "model", "bytes"), "utf8"), dead);
  assert.ok(existsSync(living) && existsSync(foreign));
});

test("makeFolder() keeps the folder of a faster process", async () => {
  const target = join(root, "model");
  await makeFolder(target, "x", async (folder) => {
    mkdirSync(target);
    writeFileSync(join(target, "theirs"), "");
    writeFileSync(join(folder, "ours"), "");
  });
  assert.deepEqual(readdirSync(target), ["theirs"]);
  assert.deepEqual(readdirSync(root), ["model"]);
});

test("makeFolder() reports a folder that cannot be written as failed/write", async () => {
  writeFileSync(join(root, "file"), "");
  const pull = makeFolder(join(root, "file", "model"), "x", async () => {});
  await assert.rejects(pull, { code: "failed/write" });
});

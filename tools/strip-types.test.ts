/** @file This Node has what strips all sources at once. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("all sources are stripped at once", () => {
  const script = join(import.meta.dirname, "strip-types.js");
  const { status, stderr } = spawnSync(process.execPath, ["--expose-internals", script], {
    encoding: "utf8",
  });
  assert.deepEqual([status, stderr], [0, ""]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { cachedDataVersionTag } from "node:v8";
import { findCollector } from "./find-collector.ts";

test("findCollector() collects what nobody holds, and leaves the flags that kept code is read under", async () => {
  const before = cachedDataVersionTag();
  const collect = findCollector();
  assert.equal(cachedDataVersionTag(), before);
  const dropped = new WeakRef({});
  await new Promise((resolve) => setImmediate(resolve));
  collect?.();
  assert.equal(dropped.deref(), undefined);
});

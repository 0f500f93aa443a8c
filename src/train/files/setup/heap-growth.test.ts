/** @file What plans leave on the heap of V8. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getHeapSpaceStatistics } from "node:v8";

import { HeapGrowth } from "./heap-growth.ts";

/** Plain objects of some megabytes, in the old generation by the time that they are dropped. */
function leaveGarbage(): number {
  return Array.from({ length: 100_000 }, (_, i) => ({ i })).length;
}

test("what is left in the old generation is collected when it has grown by some megabytes", () => {
  const used = (): number =>
    getHeapSpaceStatistics()
      .filter(({ space_name: name }) => !name.startsWith("new_"))
      .reduce((sum, { space_used_size: size }) => sum + size, 0);
  const heap = new HeapGrowth();
  heap.collect();
  const before = used();
  const sizes = Array.from({ length: 20 }, () => {
    leaveGarbage();
    heap.collect();
    return used() - before;
  });
  assert.ok(Math.max(...sizes) < 16e6, sizes.join());
});

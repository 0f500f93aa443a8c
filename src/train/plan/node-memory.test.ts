import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeBytes } from "./node-memory.ts";

// Peaks of tiny models less all that a plan counts beside nodes, in megabytes (docs/log.md#plans-of-memory).
const MEASURED = [
  [880, 29],
  [1760, 34],
  [2520, 40],
  [3490, 55],
  [4690, 60],
  [7980, 82],
  [9090, 96],
  [14_650, 126],
] as const;

test("programs of a few nodes and of thousands take what was measured", () => {
  for (const [numNodes, megabytes] of MEASURED) {
    const found = nodeBytes(numNodes) / 1e6;
    assert.ok(Math.abs(found - megabytes) < 25, `${found} of ${megabytes} MB for ${numNodes} nodes`);
  }
});

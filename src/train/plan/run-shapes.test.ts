/** @file Which sizes of micro-batches a plan looks at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Example } from "../../data/examples/example.ts";
import { stepShapes, tokensOf } from "./run-shapes.ts";

test("of many sizes a plan looks at the largest and at some of all others, in their order", () => {
  const lengths = Array.from({ length: 300 }, (_, step) => 1 + ((step * 7) % 300));
  const rowOf = (length: number): Example => ({
    ids: new Int32Array(length),
    weights: new Float32Array(length),
    source: { file: "rows.jsonl", row: 1 } as unknown as Example["source"],
  });
  const microBatches = (step: number): Example[][][] => [[[rowOf(lengths[step]!)]]];
  const { shapes, meanTokens } = stepShapes(
    { numRows: 300, stepsPerEpoch: 300, microBatches },
    lengths.length,
    false,
  );
  const seen = shapes.map(tokensOf);
  for (let length = 277; length <= 300; length++) assert.ok(seen.includes(length));
  // Attention has a program for every 64 tokens.
  for (let from = 0; from < 300; from += 64)
    assert.ok(seen.some((length) => length > from && length <= from + 64));
  assert.ok(seen.length <= 64);
  assert.deepEqual(
    seen,
    lengths.filter((length) => seen.includes(length)),
  );
  assert.equal(meanTokens, 150.5);
});

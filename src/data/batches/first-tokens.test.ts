import assert from "node:assert/strict";
import { test } from "node:test";

import { toBatch } from "./batch.ts";
import type { Example } from "../examples/example.ts";
import { firstTokens } from "./first-tokens.ts";

const example = (...ids: number[]): Example => ({
  ids: Int32Array.from(ids),
  weights: new Float32Array(ids.length).fill(1),
  source: { file: "rows.jsonl", line: 1 },
});
const batch = toBatch([[example(1, 2), example(3, 4, 5)], [example(6, 7, 8)]]);

test("firstTokens() cuts each row, and tells the places of what is left", () => {
  const { input, facts } = firstTokens(batch, 7);
  assert.deepEqual(input.shape, [2, 3]);
  assert.deepEqual([...input.data], [1n, 2n, 3n, 6n, 7n, 8n]);
  assert.deepEqual([...facts.positions], [0n, 1n, 0n, 0n, 1n, 2n]);
  assert.deepEqual([...facts.segments], [1, 1, 2, 1, 1, 1]);
  assert.equal(facts.length, 3);
});

test("firstTokens() takes a row's first token however few are asked for, and all where they suffice", () => {
  assert.deepEqual([...firstTokens(batch, 1).input.data], [1n, 6n]);
  assert.equal(firstTokens(batch, 100).input, batch.input);
});

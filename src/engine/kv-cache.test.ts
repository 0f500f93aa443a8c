import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttentionOptions } from "../nn/builder.ts";
import { KvCache } from "./kv-cache.ts";

const ATTENTION = { numKeyValueHeads: 2, headWidth: 3 } as AttentionOptions;
const MODEL = { layers: [{ attention: ATTENTION }, { attention: ATTENTION }] };
const ROW = 6;

/** Appends tokens whose rows hold `value` in layer 0 and its negative in layer 1. */
function appendRows(cache: KvCache, value: number, numTokens: number): void {
  cache.reserve(cache.length + numTokens);
  for (const [layer, sign] of [1, -1].entries()) {
    const { key, value: values } = cache.fresh(layer, numTokens);
    key.data.fill(sign * value);
    values.data.fill(sign * value * 10);
  }
  cache.append(numTokens);
}

test("a new cache is empty and has no memory, and its past has no rows", () => {
  const cache = new KvCache(MODEL);
  assert.deepEqual([cache.length, cache.capacity, cache.allocatedBytes], [0, 0, 0]);
  assert.deepEqual(cache.past(0).key.shape, [1, 0, 2, 3]);
});

test("rows that are written behind the past are its last rows, in each layer apart", () => {
  const cache = new KvCache(MODEL);
  appendRows(cache, 1, 2);
  appendRows(cache, 2, 1);
  const { key, value } = cache.past(1);
  assert.deepEqual(key.shape, [1, 3, 2, 3]);
  assert.deepEqual([...key.data], [...Array(2 * ROW).fill(-1), ...Array(ROW).fill(-2)]);
  assert.deepEqual([...value.data], [...Array(2 * ROW).fill(-10), ...Array(ROW).fill(-20)]);
  assert.equal(cache.past(0).key.data.at(-1), 2);
});

test("the past and the fresh rows are views of one buffer that do not overlap", () => {
  const cache = new KvCache(MODEL);
  appendRows(cache, 1, 2);
  const [past, fresh] = [cache.past(0).key.data, cache.fresh(0, 1).key.data];
  assert.equal(past.buffer, fresh.buffer);
  assert.equal(past.byteOffset + past.byteLength, fresh.byteOffset);
});

test("growing keeps the rows and doubles, so that many tokens one by one allocate a few times", () => {
  const cache = new KvCache(MODEL);
  for (let i = 0; i < 1000; i++) appendRows(cache, i + 1, 1);
  assert.equal(cache.length, 1000);
  assert.deepEqual([cache.capacity, cache.numAllocations], [1024, 5]);
  assert.equal(cache.allocatedBytes, 2 * 2 * 1024 * ROW * 4);
  const { data } = cache.past(0).key;
  assert.ok(data.every((value, i) => value === Math.floor(i / ROW) + 1));
});

test("reserve() takes a longer request as it is and never shrinks", () => {
  const cache = new KvCache(MODEL);
  cache.reserve(300);
  cache.reserve(10);
  assert.deepEqual([cache.capacity, cache.numAllocations], [300, 1]);
});

test("truncate() forgets the last tokens and keeps the memory", () => {
  const cache = new KvCache(MODEL);
  appendRows(cache, 1, 3);
  cache.truncate(5);
  assert.equal(cache.length, 3);
  cache.truncate(1);
  appendRows(cache, 9, 1);
  assert.deepEqual([...cache.past(0).key.data], [...Array(ROW).fill(1), ...Array(ROW).fill(9)]);
  assert.equal(cache.numAllocations, 1);
});

test("fresh() refuses rows that there is no room for", () => {
  const cache = new KvCache(MODEL);
  cache.reserve(64);
  assert.throws(() => cache.fresh(0, 65), {
    name: "RangeError",
    message: "Cannot cache 65 tokens after 0: there is room for 64",
  });
});

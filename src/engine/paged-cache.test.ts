/** @file Memory of the cache, and how a single row is read: as a piece where its pages follow each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttentionOptions } from "../nn/builder.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import { PagedCache, pageBytes } from "./paged-cache.ts";
import { Sequence } from "./sequence.ts";

const NUM_LAYERS = 2;
const ATTENTION = { numKeyValueHeads: 2, headWidth: 3 } as AttentionOptions;
const MODEL = { layers: Array.from({ length: NUM_LAYERS }, () => ({ attention: ATTENTION })) };
const WIDTH = 6;

/** A sequence of some ids on some pages. */
function sequenceOn(pages: readonly number[], numIds: number): Sequence {
  const sequence = new Sequence(
    Array.from({ length: numIds }, (_, i) => i),
    null,
  );
  sequence.pages.push(...pages);
  return sequence;
}

/** Runs the next ids of a sequence: writes the position of each in all of its numbers. */
function run(cache: PagedCache, sequence: Sequence, count: number, mayBePiece = true): void {
  cache.begin({ sequences: [sequence], count }, mayBePiece);
  for (let layer = 0; layer < NUM_LAYERS; layer++) {
    const { key, value } = cache.fresh(layer);
    for (let i = 0; i < count; i++) {
      for (const { data } of [key, value]) {
        data.fill(1 + sequence.numComputed + i, i * WIDTH, (i + 1) * WIDTH);
      }
    }
  }
  cache.append();
  sequence.numComputed += count;
}

/** Positions that the cache has of a sequence, one number of each. */
function readAll(cache: PagedCache, sequence: Sequence, mayBePiece: boolean): number[] {
  cache.begin({ sequences: [sequence], count: 1 }, mayBePiece);
  const { key, value } = cache.past(NUM_LAYERS - 1);
  assert.deepEqual(key.data, value.data);
  const pages = cache.pages;
  const positions = Array.from({ length: sequence.numComputed }, (_, i) => i);
  if (!pages) {
    assert.deepEqual(key.shape, [1, sequence.numComputed, 6]);
    return positions.map((i) => key.data[i * WIDTH] as number);
  }
  return positions.map((i) => {
    const page = Number(pages.data[Math.floor(i / PAGE_TOKENS)]);
    return key.data[(page * PAGE_TOKENS + (i % PAGE_TOKENS)) * WIDTH] as number;
  });
}

test("a page takes its positions' keys and values in all layers", () => {
  assert.equal(pageBytes(MODEL), 2 * 4 * NUM_LAYERS * WIDTH * PAGE_TOKENS);
});

for (const [name, pages] of [
  ["that follow each other are read as a piece, or by pages", [1, 2, 3]],
  ["that lie apart are read by pages", [4, 0, 2]],
] as const) {
  test(`pages ${name}, and hold what was written`, () => {
    const cache = new PagedCache(MODEL, 8);
    const sequence = sequenceOn(pages, 45);
    for (const count of [20, 1, 19]) run(cache, sequence, count);
    const expected = Array.from({ length: 40 }, (_, i) => 1 + i);
    for (const mayBePiece of [true, false]) {
      assert.deepEqual(readAll(cache, sequence, mayBePiece), expected);
      assert.equal(cache.layout, mayBePiece && pages[0] === 1 ? "piece" : "pages");
    }
  });
}

test("what a page held before is cleared behind its first positions, also where a piece is written", () => {
  const cache = new PagedCache(MODEL, 8);
  const old = sequenceOn([0, 1], 32);
  run(cache, old, 32);
  const next = sequenceOn([0, 1], 18);
  run(cache, next, 18);
  cache.begin({ sequences: [next], count: 1 }, false);
  const { key } = cache.past(0);
  const [from, to] = [(2 * PAGE_TOKENS + 2) * WIDTH, 3 * PAGE_TOKENS * WIDTH];
  assert.deepEqual([...new Set(key.data.subarray(from, to))], [0]);
});

test("memory doubles as pages are needed, up to what it may have, and keeps what is there", () => {
  const cache = new PagedCache(MODEL, 32);
  const sequence = sequenceOn([], 500);
  for (let page = 0; page * PAGE_TOKENS < 490; page++) {
    sequence.pages.push(page);
    run(cache, sequence, 10);
    run(cache, sequence, 6);
  }
  assert.equal(cache.numAllocations, 4);
  assert.deepEqual(
    readAll(cache, sequence, true),
    Array.from({ length: sequence.numComputed }, (_, i) => 1 + i),
  );
});

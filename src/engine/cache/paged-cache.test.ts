/** @file Memory of the cache, and how a single row is read: by heads, or by the pages that hold the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttentionOptions } from "../../nn/builder.ts";
import { HeadCache } from "./head-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import { PagedCache, pageBytes, usualCacheBytes } from "./paged-cache.ts";
import { Sequence } from "./sequence.ts";

const NUM_LAYERS = 2;
const ATTENTION = { numKeyValueHeads: 2, headWidth: 3 } as AttentionOptions;
const MODEL = {
  layers: Array.from({ length: NUM_LAYERS }, () => ({
    attention: ATTENTION,
    keysFrom: null,
    recent: null,
    states: [],
  })),
};
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
function run(cache: PagedCache, sequence: Sequence, count: number, byHeads = true): void {
  const pass = cache.begin({ sequences: [sequence], count }, byHeads ? "heads" : "pages");
  const { numKeyValueHeads: K, headWidth: E } = ATTENTION;
  for (let layer = 0; layer < NUM_LAYERS; layer++) {
    const past = pass.past(layer);
    const { key, value } = pass.fresh(layer) ?? past;
    for (let i = 0; i < count; i++) {
      const position = sequence.numComputed + i;
      for (const { data, shape } of [key, value]) {
        if (!byHeads) data.fill(1 + position, i * WIDTH, (i + 1) * WIDTH);
        else
          for (let head = 0; head < K; head++) {
            const at = (head * shape[2]! + position) * E;
            data.fill(1 + position, at, at + E);
          }
      }
    }
  }
  pass.append();
  sequence.numComputed += count;
}

/** Positions that the cache has of a sequence, one number of each. */
function readAll(cache: PagedCache, sequence: Sequence, byHeads: boolean): number[] {
  const pass = cache.begin({ sequences: [sequence], count: 1 }, byHeads ? "heads" : "pages");
  assert.equal(pass.layout, byHeads ? "heads" : "pages");
  const { key, value } = pass.past(NUM_LAYERS - 1);
  assert.deepEqual(key.data, value.data);
  const { pages } = pass;
  const positions = Array.from({ length: sequence.numComputed }, (_, i) => i);
  if (!pages) {
    const [, numHeads, capacity, width] = key.shape as [number, number, number, number];
    assert.deepEqual([numHeads, width], [2, 3]);
    const ofHead = (head: number) => positions.map((i) => key.data[(head * capacity + i) * width]!);
    assert.deepEqual(ofHead(1), ofHead(0));
    return ofHead(0);
  }
  return positions.map((i) => {
    const page = Number(pages.data[Math.floor(i / PAGE_TOKENS)]);
    return key.data[(page * PAGE_TOKENS + (i % PAGE_TOKENS)) * WIDTH]!;
  });
}

test("a page takes its positions' keys and values in all layers, twice where they lie by heads as well", () => {
  assert.equal(pageBytes(MODEL), 2 * 4 * NUM_LAYERS * WIDTH * PAGE_TOKENS);
  // As much again where rows may be read by heads.
  const wide = { numKeyValueHeads: 1, headWidth: 16, rope: null, causal: true } as AttentionOptions;
  assert.equal(
    pageBytes({ layers: [{ attention: wide, keysFrom: null, recent: null, states: [] }] }),
    2 * 2 * 4 * 16 * PAGE_TOKENS,
  );
});

test("unless told, a cache holds a text as long as the model allows, and no model takes all memory", () => {
  const attention = { numKeyValueHeads: 3, headWidth: 64, rope: null, causal: true } as AttentionOptions;
  const model = {
    layers: Array.from({ length: 30 }, () => ({ attention, keysFrom: null, recent: null, states: [] })),
    maxPositions: 8192,
  };
  assert.ok(usualCacheBytes(model) >= pageBytes(model) * Math.ceil(8193 / PAGE_TOKENS));
  assert.equal(usualCacheBytes({ ...model, maxPositions: 64 }), 512e6);
  assert.equal(usualCacheBytes({ ...model, maxPositions: 131_072 }), 2e9);
});

for (const written of [true, false]) {
  test(`a text that was written ${written ? "by heads" : "in pages"} is read by heads and by pages`, () => {
    const cache = new PagedCache(MODEL, 32);
    const sequence = sequenceOn([4, 0, 2, ...Array.from({ length: 20 }, (_, i) => 5 + i)], 330);
    for (const count of [20, 1, 19]) run(cache, sequence, count, written);
    const other = sequenceOn([1], 16);
    run(cache, other, 16, !written);
    // More than there is room for at first.
    for (const count of [1, 270]) run(cache, sequence, count, written);
    const expected = Array.from({ length: 311 }, (_, i) => 1 + i);
    for (const byHeads of [!written, written, true])
      assert.deepEqual(readAll(cache, sequence, byHeads), expected);
    assert.deepEqual(readAll(cache, other, true), expected.slice(0, 16));
  });
}

test("what a page held before is cleared behind its first positions, also where heads are written", () => {
  const cache = new PagedCache(MODEL, 8);
  const old = sequenceOn([0, 1], 32);
  run(cache, old, 32);
  const next = sequenceOn([0, 1], 18);
  run(cache, next, 18);
  const { key } = cache.begin({ sequences: [next], count: 1 }, "pages").past(0);
  const [from, to] = [(2 * PAGE_TOKENS + 2) * WIDTH, 3 * PAGE_TOKENS * WIDTH];
  assert.deepEqual([...new Set(key.data.subarray(from, to))], [0]);
});

test("a layer that looks back at three tokens has those of each row, of which a page keeps three", () => {
  const [count, width] = [3, 4];
  const model = { layers: [{ attention: null, keysFrom: null, states: [], recent: { count, width } }] };
  assert.equal(pageBytes(model), 4 * count * width);
  const cache = new PagedCache(model, 32);
  /** Runs the next ids of some rows, which write the position of each, and reads what there was before. */
  const step = (rows: readonly Sequence[], numIds: number, layout: "heads" | "pages"): void => {
    const pass = cache.begin({ sequences: rows, count: numIds }, layout);
    const [past, fresh] = [pass.past(0), pass.fresh(0)!];
    assert.deepEqual(past.key.shape, [rows.length, count, width / 2]);
    const before = rows.flatMap(({ numComputed }) => [-2, -1, 0].map((i) => Math.max(0, numComputed + i)));
    for (const { data } of [past.key, past.value]) {
      assert.deepEqual(
        [...data],
        before.flatMap((position) => [position, position]),
      );
    }
    for (const [row, { numComputed }] of rows.entries()) {
      for (let i = 0; i < numIds; i++) {
        const at = (row * numIds + i) * 2;
        for (const { data } of [fresh.key, fresh.value]) data.fill(numComputed + i + 1, at, at + 2);
      }
    }
    pass.append();
    for (const row of rows) row.numComputed += numIds;
  };
  const first = sequenceOn([3, 0, 5, 1], 64);
  for (const numIds of [1, 1, 14, 2, 13, 20, 1]) step([first], numIds, numIds === 1 ? "heads" : "pages");
  // The second goes on behind two full pages of the first; the third is at its beginning.
  const [second, third] = [sequenceOn([3, 0, 7], 48), sequenceOn([6], 16)];
  second.numComputed = 32;
  for (let i = 0; i < 12; i++) step([first, second, third].slice(i % 3), 1, "heads");
});

test("memory doubles where it lies as pages are needed, up to what it may have", () => {
  const cache = new PagedCache(MODEL, 32);
  const sequence = sequenceOn([], 500);
  const memories = new Set<ArrayBufferLike>();
  const lengths = new Set<number>();
  for (let page = 0; page * PAGE_TOKENS < 490; page++) {
    sequence.pages.push(page);
    run(cache, sequence, 10);
    run(cache, sequence, 6);
    const pass = cache.begin({ sequences: [sequence], count: 1 }, "pages");
    const { data } = pass.past(0).key;
    memories.add(data.buffer);
    lengths.add(data.length / (PAGE_TOKENS * WIDTH));
  }
  assert.equal(memories.size, 1);
  assert.deepEqual([...lengths], [5, 9, 17, 33]);
  assert.deepEqual(
    readAll(cache, sequence, true),
    Array.from({ length: sequence.numComputed }, (_, i) => 1 + i),
  );
});

test("memory that cannot be had is asked for again, and what there is stays", (t) => {
  let numAllowed = Infinity;
  const resize: (this: ArrayBuffer, sizeBytes: number) => void = Reflect.get(ArrayBuffer.prototype, "resize");
  t.mock.method(ArrayBuffer.prototype, "resize", function (this: ArrayBuffer, sizeBytes: number) {
    if (numAllowed-- <= 0) throw new RangeError("no memory");
    resize.call(this, sizeBytes);
  });
  const cache = new PagedCache(MODEL, 32);
  const sequence = sequenceOn([0], 100);
  run(cache, sequence, 10);
  sequence.pages.push(1, 2, 3, 4, 5);
  numAllowed = 3;
  assert.throws(() => run(cache, sequence, 80), { code: "capacity/memory" });
  numAllowed = Infinity;
  run(cache, sequence, 80);
  const expected = Array.from({ length: 90 }, (_, i) => 1 + i);
  for (const byHeads of [true, false]) assert.deepEqual(readAll(cache, sequence, byHeads), expected);
});

test("heads for which there is no memory are made anew from pages", () => {
  const numbers = (): Float32Array => Float32Array.from({ length: 3 * PAGE_TOKENS * WIDTH }, (_, i) => i);
  const layers = [{ numHeads: 2, headWidth: 3, key: numbers(), value: numbers() }];
  const heads = new HeadCache(2 ** 45);
  const [first, second] = [sequenceOn([0], 16), sequenceOn([1], 16)];
  for (const sequence of [first, second]) sequence.numComputed = 2;
  heads.hold([first], 1, layers);
  assert.throws(() => heads.hold([first], 2 ** 40, layers), { code: "capacity/memory" });
  heads.hold([second], 1, layers);
  const { data, shape } = heads.rows(0).key;
  const ofHead = (head: number): number[] => [...data.subarray(head * shape[2]! * 3).subarray(0, 6)];
  const start = 2 * PAGE_TOKENS * WIDTH;
  assert.deepEqual(
    [ofHead(0), ofHead(1)],
    [[0, 1, 2, 6, 7, 8].map((i) => start + i), [3, 4, 5, 9, 10, 11].map((i) => start + i)],
  );
});

test("rows by heads stay where they are, a hole is filled by the last, and what is elsewhere is brought", () => {
  const cache = new PagedCache(MODEL, 64);
  const texts = [0, 1, 2, 3].map((i) => sequenceOn([2 * i, 2 * i + 1], 30));
  /** Runs one id of each row: writes 100 times the text and its position, and reads what the rows had before. */
  const step = (order: readonly number[]): void => {
    const rows = order.map((i) => texts[i]!);
    const pass = cache.begin({ sequences: rows, count: 1 }, "heads");
    for (let layer = 0; layer < NUM_LAYERS; layer++) {
      const { key, value } = pass.past(layer);
      const [, numHeads, capacity, width] = key.shape as [number, number, number, number];
      assert.equal(key.shape[0], order.length);
      for (const [row, { numComputed }] of rows.entries()) {
        for (let head = 0; head < numHeads; head++) {
          const at = (row * numHeads + head) * capacity * width;
          for (let i = 0; i < numComputed; i++)
            assert.equal(key.data[at + i * width], 100 * order[row]! + i, `row ${row}, position ${i}`);
          for (const { data } of [key, value])
            data.fill(
              100 * order[row]! + numComputed,
              at + numComputed * width,
              at + (numComputed + 1) * width,
            );
        }
      }
    }
    pass.append();
    for (const row of rows) row.numComputed++;
  };
  const arranged = (some: readonly number[]): number[] =>
    cache.arrange(some.map((i) => texts[i]!)).map((place) => some[place]!);
  for (let i = 0; i < 3; i++) step([0, 1, 2]);
  assert.deepEqual(arranged([2, 0, 1]), [0, 1, 2]);
  cache.forget(texts[0]!);
  assert.deepEqual(arranged([1, 2]), [2, 1]);
  step([2, 1]);
  // One by itself, while others keep their places.
  step([3]);
  step([3]);
  step([2, 1]);
  step([2, 1, 3]);
  // From pages, into which all was copied.
  step([0, 3, 1, 2]);
  for (const [i, text] of texts.entries()) {
    const own = readAll(cache, text, false);
    assert.deepEqual(
      own,
      Array.from({ length: text.numComputed }, (_, position) => 100 * i + position),
    );
  }
});

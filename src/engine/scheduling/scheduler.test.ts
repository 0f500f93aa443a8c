/** @file Whatever comes and goes, no page has two owners or none, nothing starves, and everything ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PAGE_TOKENS, PagePool } from "../cache/page-pool.ts";
import { Scheduler } from "./scheduler.ts";
import { Sequence } from "../cache/sequence.ts";

/** A text to be written: its prompt's length, of few distinct ids so that prompts begin alike, and new ids. */
const text = fc.record({
  prompt: fc.integer({ min: 1, max: 60 }),
  fresh: fc.integer({ min: 1, max: 30 }),
  first: fc.integer({ min: 1, max: 3 }),
  /** Step in which it comes, and after how many of its own steps it is cancelled. */
  comes: fc.nat(30),
  leaves: fc.option(fc.nat(20), { nil: null }),
  isAlike: fc.boolean(),
});

const numPagesOf = (length: number): number => Math.ceil(length / PAGE_TOKENS);

test("pages are held by those that run alone, and every text ends", () => {
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 6, max: 14 }),
      fc.integer({ min: 1, max: 5 }),
      (texts, numPages, maxRunning) => {
        const pool = new PagePool(numPages);
        const scheduler = new Scheduler(pool, { maxRunning, prefillTokens: 20 });
        const alive = new Map<Sequence, { left: number; steps: number; leaves: number | null }>();
        const waiting = [...texts].sort((a, b) => a.comes - b.comes);
        for (let step = 0; waiting.length > 0 || alive.size > 0; step++) {
          assert.ok(step < 3000, "nothing goes on");
          while (waiting[0] && waiting[0].comes <= step) {
            const { prompt, fresh, first, leaves, isAlike } = waiting.shift()!;
            const ids = Array.from({ length: prompt }, (_, i) => (i === 20 ? first : 7));
            const sequence = new Sequence(ids, isAlike ? "alike" : "base", { isBatchInvariant: isAlike });
            alive.set(sequence, { left: fresh, steps: 0, leaves });
            scheduler.add(sequence);
          }
          const { chunks, decodes } = scheduler.schedule();
          const runs = [...chunks, ...decodes.map((sequence) => ({ sequence, count: 1 }))];
          assert.equal(new Set(runs.map(({ sequence }) => sequence)).size, runs.length);
          assert.ok(scheduler.running.length <= maxRunning);
          assert.ok(chunks.reduce((sum, { count }) => sum + count, 0) <= 20);
          for (const { sequence, count } of runs) {
            const { numPrompt, numComputed, isBatchInvariant } = sequence;
            const isOfPrompt = numComputed < numPrompt;
            const isAlone = count % 16 === 1 && numPrompt > 1;
            assert.ok(!isOfPrompt || !isAlone, "an id of a prompt runs alone, in attention or in all");
            assert.ok(!isBatchInvariant || isOfPrompt || count === 1, "what was drawn runs as it did");
            assert.ok(!isBatchInvariant || !isOfPrompt || numComputed + count <= numPrompt);
          }
          const holders = new Map<number, number>();
          for (const { pages } of alive.keys()) {
            assert.equal(new Set(pages).size, pages.length);
            for (const page of pages) holders.set(page, (holders.get(page) ?? 0) + 1);
          }
          assert.equal(pool.numHeld, holders.size);
          for (const { sequence, count } of runs) {
            assert.ok(count >= 1 && count <= sequence.numPending);
            assert.equal(sequence.pages.length, numPagesOf(sequence.ids.length));
            // What a row is about to write in is its own alone.
            const written = sequence.pages.slice(Math.floor(sequence.numComputed / PAGE_TOKENS));
            for (const page of written) assert.equal(holders.get(page), 1);
          }
          for (const { sequence, count } of runs) {
            scheduler.computed(sequence, count);
            const own = alive.get(sequence) as { left: number; steps: number; leaves: number | null };
            if (sequence.numPending === 0) {
              sequence.ids.push(9);
              own.left--;
            }
            if (own.left === 0 || own.steps++ === own.leaves) {
              scheduler.remove(sequence);
              alive.delete(sequence);
            }
          }
        }
        assert.equal(pool.numHeld, 0);
        assert.equal(scheduler.running.length + scheduler.waiting.length, 0);
      },
    ),
    { numRuns: 200 },
  );
});

test("a prompt that comes later waits for the one before it, however small it is", () => {
  const scheduler = new Scheduler(new PagePool(4), { maxRunning: 4, prefillTokens: 64 });
  const [first, large, small] = [40, 60, 3].map(
    (length, i) =>
      new Sequence(
        Array.from({ length }, () => i),
        null,
      ),
  ) as [Sequence, Sequence, Sequence];
  for (const sequence of [first, large, small]) scheduler.add(sequence);
  assert.deepEqual(
    scheduler.schedule().chunks.map(({ sequence }) => sequence),
    [first],
  );
});

test("a text that starts again does not count its own pages as found in those of others", () => {
  const scheduler = new Scheduler(new PagePool(4), { maxRunning: 2, prefillTokens: 64 });
  const first = new Sequence(Array<number>(20).fill(7), "base");
  const last = new Sequence(Array<number>(20).fill(8), "base");
  for (const sequence of [first, last]) scheduler.add(sequence);
  const step = (): void => {
    const { chunks, decodes } = scheduler.schedule();
    const runs = [...chunks, ...decodes.map((sequence) => ({ sequence, count: 1 }))];
    for (const { sequence, count } of runs) {
      scheduler.computed(sequence, count);
      if (sequence.numPending === 0) sequence.ids.push(9);
    }
  };
  while (last.numPreemptions === 0) step();
  scheduler.remove(first);
  step();
  assert.ok(last.numComputed > 20);
  assert.equal(last.numShared, 0);
});

test("a text whose keys are no good any more starts again, and finds those of texts as long alone", () => {
  const pool = new PagePool(8);
  const scheduler = new Scheduler(pool, { maxRunning: 1, prefillTokens: 64 });
  const make = (length: number): Sequence =>
    new Sequence(
      Array.from({ length }, (_, i) => i),
      "base",
      { numAlike: 20 },
    );
  const run = (sequence: Sequence): number => {
    scheduler.add(sequence);
    while (sequence.ids.length < 22) {
      const { chunks, decodes } = scheduler.schedule();
      for (const { count } of [...chunks, ...decodes.map(() => ({ count: 1 }))])
        scheduler.computed(sequence, count);
      assert.ok(sequence.isLong === sequence.ids.length > 20);
      if (sequence.numPending === 0) sequence.ids.push(sequence.ids.length);
    }
    scheduler.remove(sequence);
    return sequence.numShared;
  };
  const [first, second] = [make(19), make(19)];
  assert.equal(run(first), 0);
  assert.equal(first.numPreemptions, 1);
  // The page of the first that was short, and later that of the one that was long.
  assert.equal(run(second), 16);
  const long = make(21);
  assert.equal(run(long), 16);
  assert.equal(long.numPreemptions, 0);
});

test("the oldest page that nobody holds goes first, and what followed it is not found any more", () => {
  const pool = new PagePool(2);
  const ids = Array.from({ length: PAGE_TOKENS }, (_, i) => i);
  const [a, b] = [pool.take(), pool.take()] as [number, number];
  const next = pool.publish(a, "base", ids);
  pool.publish(b, next, ids);
  pool.release(a);
  pool.release(b);
  assert.equal(pool.find("base", ids)?.page, a);
  assert.equal(pool.find(next, ids)?.page, b);
  pool.release(a);
  pool.release(b);
  assert.equal(pool.take(), a);
  assert.equal(pool.find("base", ids), null);
  assert.equal(pool.find("other", ids), null);
});

test("of texts that have ended no more pages stay than are to be kept, or texts have held at a time", () => {
  const pool = new PagePool(100, 3);
  const idsOf = (text: number): number[] => Array.from({ length: PAGE_TOKENS }, () => text);
  const write = (text: number, numPages: number): void => {
    const pages = Array.from({ length: numPages }, () => pool.take()!);
    let key = "base";
    for (const page of pages) key = pool.publish(page, key, idsOf(text));
    for (const page of pages) pool.release(page);
  };
  const numFound = (text: number): number => {
    const found: number[] = [];
    for (let key = "base"; ;) {
      const next = pool.find(key, idsOf(text));
      if (!next) break;
      found.push(next.page);
      key = next.next;
    }
    for (const page of found) pool.release(page);
    return found.length;
  };
  for (const text of [1, 2, 3, 4]) write(text, 1);
  assert.deepEqual([1, 2, 3, 4].map(numFound), [0, 1, 1, 1]);
  // A text that goes on finds all of itself.
  write(5, 6);
  assert.deepEqual([4, 5].map(numFound), [0, 6]);
  write(6, 1);
  assert.deepEqual([5, 6].map(numFound), [0, 1]);
  // Their memory is taken first.
  assert.ok(pool.take()! < 8);
});

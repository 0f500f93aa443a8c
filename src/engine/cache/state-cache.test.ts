/** @file States of texts in work: of each its own, from zeros on, gone with its pages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequence } from "./sequence.ts";
import { StateCache } from "./state-cache.ts";

const states = [{ name: "state", shape: [1, 2, 1] }];

function textOn(page: number): Sequence {
  const sequence = new Sequence([1, 2, 3, 4], null);
  sequence.pages.push(page);
  return sequence;
}

/** Runs an id of each of some texts, which adds a number to its state; returns what the states were. */
function step(
  cache: StateCache,
  texts: readonly Sequence[],
  by: number,
  meanwhile = (): void => {},
): number[] {
  const all = cache.rows(1, texts);
  const rows = all[0]!;
  assert.deepEqual(
    [rows.past.shape, rows.next.shape],
    [
      [texts.length, 1, 2, 1],
      [texts.length, 1, 2, 1],
    ],
  );
  const before = [...rows.past.data];
  for (const [i, value] of before.entries()) rows.next.data[i] = value + by;
  meanwhile();
  cache.keep(1, texts, all);
  for (const text of texts) if (text.pages.length > 0) text.numComputed++;
  return before;
}

test("a text has its own states, alone and beside others, from zeros on", () => {
  const cache = new StateCache([{ states: [] }, { states }]);
  assert.deepEqual(cache.rows(0, [textOn(0)]), []);
  const [a, b, c] = [textOn(0), textOn(1), textOn(2)];
  assert.deepEqual(step(cache, [a], 1), [0, 0]);
  assert.deepEqual(step(cache, [b], 10), [0, 0]);
  assert.deepEqual(step(cache, [a], 1), [1, 1]);
  assert.deepEqual(step(cache, [a, b], 100), [2, 2, 10, 10]);
  assert.deepEqual(step(cache, [c, b, a], 1000), [0, 0, 110, 110, 102, 102]);
  assert.deepEqual(step(cache, [b, c], 1), [1110, 1110, 1000, 1000]);
  assert.deepEqual(step(cache, [a], 1), [1102, 1102]);
});

test("a text that lost its pages begins with zeros again, and one that ends while it runs leaves nothing", () => {
  const cache = new StateCache([{ states: [] }, { states }]);
  const [a, b] = [textOn(0), textOn(1)];
  step(cache, [a, b], 5);
  a.pages.length = 0;
  a.numComputed = 0;
  cache.prune();
  a.pages.push(3);
  assert.deepEqual(step(cache, [b, a], 1), [5, 5, 0, 0]);
  const end = (text: Sequence) => (): void => {
    text.pages.length = 0;
    text.numComputed = 0;
    cache.prune();
  };
  step(cache, [a, b], 1, end(b));
  step(cache, [a], 1, end(a));
  const again = textOn(1);
  assert.deepEqual(step(cache, [again], 1), [0, 0]);
  b.pages.push(4);
  assert.deepEqual(step(cache, [b, again], 1), [0, 0, 1, 1]);
});

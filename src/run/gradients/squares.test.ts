/** @file Sums of squares of vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../random.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { CHUNK_ELEMENTS } from "../../runtime/flat-chunks.ts";
import { Squares } from "./squares.ts";

const engine = createEngine({ threads: 1 });

test("squares of vectors of any length, pieces and rest, are added up", async () => {
  const squares = await Squares.create(engine);
  assert.equal(await squares.of([Float32Array.of(3, 4)]), 25);
  assert.equal(await squares.of([Float32Array.of(3), new Float32Array(0), Float32Array.of(4)]), 25);
  assert.equal(await squares.of([]), 0);
  for (const length of [1, 1000, CHUNK_ELEMENTS, 2 * CHUNK_ELEMENTS + 7]) {
    const random = new Random(length);
    const vector = new Float32Array(length).map(() => random.normal());
    const expected = vector.reduce((sum, v) => sum + v * v, 0);
    const found = await squares.of([vector]);
    assert.ok(Math.abs(found - expected) <= 2e-6 * expected, `${length}: ${found}, expected ${expected}`);
  }
  await squares.release();
});

test("a vector that has changed is read anew, and elements that are no numbers show", async () => {
  const squares = await Squares.create(engine);
  const vector = Float32Array.of(3, 4);
  await squares.of([vector]);
  vector.set([6, 8]);
  assert.equal(await squares.of([vector]), 100);
  vector[1] = NaN;
  assert.ok(Number.isNaN(await squares.of([vector])));
  await squares.release();
});

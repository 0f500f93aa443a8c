/** @file Norm and clipping of the flat gradient. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../random.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { CHUNK_ELEMENTS } from "../runtime/flat-chunks.ts";
import { clipFactor, createGradientNorm } from "./gradient-norm.ts";

const engine = createEngine({ threads: 1 });

test("norm() is the L2 norm of vectors of any length, pieces and rest", async () => {
  const gradientNorm = await createGradientNorm(engine);
  assert.equal(await gradientNorm.norm([Float32Array.of(3, 4)]), 5);
  assert.equal(await gradientNorm.norm([new Float32Array(0)]), 0);
  for (const length of [1, 1000, CHUNK_ELEMENTS, 2 * CHUNK_ELEMENTS + 7]) {
    const random = new Random(length);
    const vector = new Float32Array(length).map(() => random.normal());
    const expected = Math.sqrt(vector.reduce((sum, v) => sum + v * v, 0));
    const found = await gradientNorm.norm([vector]);
    assert.ok(Math.abs(found - expected) <= 1e-6 * expected, `${length}: ${found}, expected ${expected}`);
  }
  await gradientNorm.release();
});

test("norm() sees a vector that has changed, and elements that are no numbers", async () => {
  const gradientNorm = await createGradientNorm(engine);
  const vector = Float32Array.of(3, 4);
  await gradientNorm.norm([vector]);
  vector.set([6, 8]);
  assert.equal(await gradientNorm.norm([vector]), 10);
  vector[1] = NaN;
  assert.ok(Number.isNaN(await gradientNorm.norm([vector])));
  await gradientNorm.release();
});

test("clipFactor() shortens long gradients to the largest norm and leaves others", () => {
  assert.equal(clipFactor(0.5, 1), 1);
  assert.equal(clipFactor(0, 1), 1);
  assert.equal(clipFactor(4, 1), 1 / 4.000001);
  assert.ok(Number.isNaN(clipFactor(NaN, 1)));
});

test("norm() of a vector cut into parts is bit-equal to that of the whole", async () => {
  const gradientNorm = await createGradientNorm(engine);
  const random = new Random(3);
  const vector = new Float32Array(2 * CHUNK_ELEMENTS + 7).map(() => random.normal());
  const whole = await gradientNorm.norm([vector]);
  for (const places of [
    [1],
    [CHUNK_ELEMENTS],
    [10, CHUNK_ELEMENTS],
    [0, 5, 70_000, 70_001, 2 * CHUNK_ELEMENTS + 1],
  ]) {
    const ends = [...places, vector.length];
    const parts = ends.map((end, i) => vector.slice(places[i - 1] ?? 0, end));
    assert.equal(await gradientNorm.norm(parts), whole);
  }
  await gradientNorm.release();
});

/** @file Sums of flat vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { createAccumulator } from "./accumulate.ts";
import { CHUNK_ELEMENTS } from "./flat-chunks.ts";

const engine = createOrtEngine({ threads: 1 });

test("accumulate() adds in place, across pieces, and only reads what it adds", async () => {
  const accumulator = await createAccumulator(engine);
  for (const length of [0, 3, CHUNK_ELEMENTS + 2]) {
    const into = new Float32Array(length).map((_, i) => i);
    const from = new Float32Array(length).map((_, i) => 0.5 - 2 * i);
    await accumulator.accumulate(into, from);
    await accumulator.accumulate(into, from);
    assert.deepEqual(
      into,
      new Float32Array(length).map((_, i) => 1 - 3 * i),
    );
    assert.deepEqual(
      from,
      new Float32Array(length).map((_, i) => 0.5 - 2 * i),
    );
  }
  await accumulator.release();
});

test("accumulate() refuses vectors of two lengths", async () => {
  const accumulator = await createAccumulator(engine);
  await assert.rejects(accumulator.accumulate(new Float32Array(3), new Float32Array(4)), {
    name: "RangeError",
    message: "Cannot use a vector to add: 4 elements, expected 3",
  });
  await accumulator.release();
});

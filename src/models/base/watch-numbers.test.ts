/** @file What is told of weights that are not numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeightSource } from "./base-model.ts";
import { watchNumbers } from "./watch-numbers.ts";

const numbers = new Float32Array(8192).fill(1);
numbers[5000] = NaN;

const source: WeightSource = {
  storageOf: () => "f32",
  groupSizeOf: () => null,
  stored: () => Promise.reject(new RangeError("nobody reads it so")),
  view: () => null,
  readInto: (_name, into, start = 0) =>
    Promise.resolve(into.set(numbers.subarray(start, start + into.length))),
};

test("a number that is none is told once, also where the rows before it were read at the same place", async () => {
  const told: string[] = [];
  const watched = watchNumbers("model", source, (note) => told.push(note));
  await watched.readInto("w", new Float32Array(4096));
  assert.deepEqual(told, []);
  for (let i = 0; i < 2; i++) await watched.readInto("w", new Float32Array(8192));
  assert.deepEqual(told, [
    'Tensor "w" of "model" contains 1 values that are NaN or infinite: results computed with it are meaningless',
  ]);
});

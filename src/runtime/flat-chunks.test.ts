/** @file Pieces of flat vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FlatChunks } from "./flat-chunks.ts";

test("of() cuts a vector into views that cover it in order", () => {
  const vector = Float32Array.of(0, 1, 2, 3, 4, 5, 6);
  const pieces = new FlatChunks(3).of(vector);
  assert.deepEqual(
    pieces.map(({ shape, data }) => [shape, [...data]]),
    [
      [[3], [0, 1, 2]],
      [[3], [3, 4, 5]],
      [[1], [6]],
    ],
  );
  assert.ok(pieces.every(({ data }) => data.buffer === vector.buffer));
});

test("of() cuts a part of a vector from its own beginning", () => {
  const pieces = new FlatChunks(3).of(Float32Array.of(0, 1, 2, 3, 4, 5, 6), 2, 6);
  assert.deepEqual(
    pieces.map(({ data }) => [...data]),
    [[2, 3, 4], [5]],
  );
});

test("of() and scratch() give the same objects at every call", () => {
  const chunks = new FlatChunks(3);
  const vector = new Float32Array(7);
  assert.equal(chunks.of(vector), chunks.of(vector));
  assert.notEqual(chunks.of(vector), chunks.of(new Float32Array(7)));
  assert.equal(chunks.scratch("a", 3), chunks.scratch("a", 3));
  assert.notEqual(chunks.scratch("a", 3), chunks.scratch("b", 3));
  assert.deepEqual(chunks.scratch("a", 1).shape, [1]);
  assert.equal(chunks.scratch("a", 1).data.buffer, chunks.scratch("a", 3).data.buffer);
});

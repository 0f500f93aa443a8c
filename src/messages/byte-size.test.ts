/** @file Sizes are read as they are written, and nothing else is taken for one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseByteSize, showByteSize } from "./byte-size.ts";

test("sizes are read with and without units, decimal and binary, in either case", () => {
  const read = ["200MB", "1.5GB", " 768 MiB ", "4096", "12kb", "1gib", "0.5B0", "0.25TB"].map(parseByteSize);
  assert.deepEqual(read, [200e6, 1.5e9, 768 * 2 ** 20, 4096, 12e3, 2 ** 30, null, 0.25e12]);
});

test("what is no size is none", () => {
  for (const text of ["", "MB", "-1MB", "1e9", "1,5GB", "0", "0.2B", "1IB", "12 apples", "NaN", "9999TB9"]) {
    assert.equal(parseByteSize(text), null, text);
  }
});

test("a size that is shown reads as at least as much", () => {
  for (const size of [1, 999, 1000, 123_456, 999_999, 1_000_001, 452_984_832]) {
    assert.ok((parseByteSize(showByteSize(size)) ?? 0) >= size, String(size));
  }
});

/** @file Sizes are read as they are written, and nothing else is taken for one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseByteSize, showByteSize } from "./byte-size.ts";

test("sizes are read with and without units, decimal and binary, in either case", () => {
  const read = ["200MB", "1.5GB", " 768 MiB ", "4194304", "12kb", "8.2MB", "1gib", "0.5B0", "0.25TB"].map(
    parseByteSize,
  );
  assert.deepEqual(read, [200e6, 1.5e9, 768 * 2 ** 20, 4194304, 12e3, 8.2e6, 2 ** 30, null, 0.25e12]);
});

test("what is no size is none", () => {
  for (const text of [
    "",
    "MB",
    "-1MB",
    "1e9",
    "1,5GB",
    "0",
    "0.2B",
    "1IB",
    "12 apples",
    "200",
    "4096",
    "NaN",
    "9999TB9",
  ]) {
    assert.equal(parseByteSize(text), null, text);
  }
});

test("a size that is shown reads as at least as much", () => {
  for (const size of [1, 999, 1000, 1_001, 123_456, 999_999, 1_000_001, 8_200_000, 452_984_832]) {
    assert.ok((parseByteSize(showByteSize(size)) ?? 0) >= size, String(size));
  }
});

test("a size that is shown is the true one but for a tenth", () => {
  for (const size of [1, 200, 999, 1000, 1_001, 9_999, 123_456, 1_000_001, 1_230_000, 8_200_000, 1.5e9]) {
    assert.ok((parseByteSize(showByteSize(size)) ?? 0) <= 1.1 * size, `${size}: ${showByteSize(size)}`);
  }
});

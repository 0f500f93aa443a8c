import assert from "node:assert/strict";
import { test } from "node:test";

import {
  formatBytes,
  formatCount,
  formatCountOf,
  formatDuration,
  formatLoss,
  formatPercent,
} from "./numbers.ts";

test("formatPercent() never shows an exponent, nor digits that nobody asked for", () => {
  const shown = [1, 0.9996, 0.5, 0.00123, 12.345, 0, 1e-9, Number.NaN].map((share) =>
    formatPercent(share, 2),
  );
  assert.deepEqual(shown, [
    "100 %",
    "100 %",
    "50 %",
    "0.12 %",
    "1235 %",
    "0 %",
    "less than 0.001 %",
    "NaN %",
  ]);
  assert.deepEqual(
    [1, 0.9996, 0.5, 0.00123].map((share) => formatPercent(share, 3)),
    ["100 %", "100 %", "50.0 %", "0.123 %"],
  );
});

test("formatLoss() never shows an exponent", () => {
  assert.deepEqual([2.34567, 1e22, Number.POSITIVE_INFINITY].map(formatLoss), [
    "2.3457",
    "10000000000000000000000.0000",
    "Infinity",
  ]);
});

test("formatCountOf() knows one from many", () => {
  assert.deepEqual(
    [0, 1, 1000].map((count) => formatCountOf(count, "example")),
    ["0 examples", "1 example", "1,000 examples"],
  );
});

test("formatCount() groups digits", () => {
  assert.equal(formatCount(1_234_567), "1,234,567");
});

test("formatBytes() uses decimal units and never shows 1000 of one", () => {
  assert.deepEqual([0, 521.5219300878109, 999, 1000, 98_362_432, 999_960, 3.5e9].map(formatBytes), [
    "0 B",
    "522 B",
    "999 B",
    "1.0 KB",
    "98.4 MB",
    "1.0 MB",
    "3.5 GB",
  ]);
});

test("formatDuration() shows two units at most", () => {
  assert.deepEqual([0, 0.314, 7.21, 94.6, 345, 949, 950, 59_400, 200_000, 7_500_000].map(formatDuration), [
    "0 s",
    "0.31 ms",
    "7.2 ms",
    "95 ms",
    "0.3 s",
    "0.9 s",
    "1 s",
    "59 s",
    "3 min 20 s",
    "2 h 05 min",
  ]);
});

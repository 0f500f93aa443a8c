/** @file Numbers along an axis: round, in order, around the data, each told from the next. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dataAxis, roundedAxis, tickLabel } from "./axis.ts";

const labelsOf = (axis: ReturnType<typeof roundedAxis>): string[] =>
  axis.ticks.map((tick) => tickLabel(tick, axis));

test("an axis of values begins and ends with round numbers around them", () => {
  for (const [values, expected] of [
    [
      [0.3, 3.2],
      ["0", "1", "2", "3", "4"],
    ],
    [
      [0.0001, 0.0003],
      ["0.00010", "0.00015", "0.00020", "0.00025", "0.00030"],
    ],
    [
      [-1200, 3400],
      ["-2,000", "-1,000", "0", "1,000", "2,000", "3,000", "4,000"],
    ],
    [
      [2, 2],
      ["1.0", "1.5", "2.0", "2.5", "3.0"],
    ],
    [
      [0, 0],
      ["0.0", "0.3", "0.6", "0.9", "1.2"],
    ],
    [[], ["0.0", "0.3", "0.6", "0.9", "1.2"]],
    [
      [1e-9, 4e-9],
      ["1e-9", "2e-9", "3e-9", "4e-9"],
    ],
  ] as const)
    assert.deepEqual(labelsOf(roundedAxis(values, 4)), expected, values.join());
});

test("an axis of steps begins with the first and ends with the last, and has none written over another", () => {
  for (const [values, expected] of [
    [
      [1, 40],
      ["1", "10", "20", "30", "40"],
    ],
    [
      [1, 6],
      ["1", "2", "3", "4", "5", "6"],
    ],
    [
      [0, 21],
      ["0", "5", "10", "15", "21"],
    ],
    [[7], ["6", "7"]],
    [
      [1, 25_000],
      ["1", "5,000", "10,000", "15,000", "20,000", "25,000"],
    ],
  ] as const)
    assert.deepEqual(labelsOf(dataAxis(values, 5)), expected, values.join());
});

test("a million values have an axis", () => {
  const values = Array.from({ length: 1e6 }, (_, i) => i);
  assert.deepEqual([dataAxis(values, 5).max, roundedAxis(values, 4).max], [999_999, 1e6]);
});

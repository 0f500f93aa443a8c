import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { packRows } from "./packing.ts";

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe("packRows()", () => {
  test("fits the longest first into the fullest row that has room, and keeps the given order", () => {
    // Longest first: 6, 5, 4 (fits beside 6), 3 (beside 5), 2 (beside 5 and 3).
    assert.deepEqual(packRows([0, 1, 2, 3, 4], [3, 6, 2, 5, 4], 10), [
      [0, 2, 3],
      [1, 4],
    ]);
  });

  test("takes the tighter of two rows", () => {
    // 7 and 6 open rows; 3 fits both and fills the first.
    assert.deepEqual(packRows([0, 1, 2], [6, 7, 3], 10), [[0], [1, 2]]);
  });

  test("packs each window by itself", () => {
    assert.deepEqual(packRows([3, 2, 1, 0], [1, 1, 1, 1], 4, 2), [
      [3, 2],
      [1, 0],
    ]);
  });

  test("refuses an example that fits no row", () => {
    assert.throws(
      () => packRows([0, 1], [2, 5], 4),
      new RangeError("Cannot pack example 1: 5 tokens, expected at most 4"),
    );
  });

  test("packs every example once, no row over the limit, no two rows of a window that fit into one", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 60 }),
        fc.integer({ min: 20, max: 40 }),
        fc.integer({ min: 1, max: 70 }),
        (lengths, maxLength, window) => {
          const order = [...lengths.keys()].reverse();
          const rows = packRows(order, lengths, maxLength, window);
          assert.deepEqual(
            rows.flat().sort((a, b) => a - b),
            [...lengths.keys()],
          );
          const sizes = rows.map((row) => sum(row.map((index) => lengths[index] ?? 0)));
          assert.ok(sizes.every((size) => size > 0 && size <= maxLength));
          if (window >= lengths.length && sizes.length > 1) {
            const [a = 0, b = 0] = [...sizes].sort((x, y) => x - y);
            assert.ok(a + b > maxLength);
          }
          assert.deepEqual(packRows(order, lengths, maxLength, window), rows);
        },
      ),
    );
  });
});

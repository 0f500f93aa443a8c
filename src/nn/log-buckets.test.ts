import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketRows, halvedRows } from "./log-buckets.ts";

type Buckets = Parameters<typeof bucketRows>[0];

const FEW: Buckets = { numRows: 4, limit: 8, hasBuckets: true };
const MANY: Buckets = { numRows: 256, limit: 512, hasBuckets: true };
const ODD: Buckets = { numRows: 7, limit: 40, hasBuckets: true };
const NONE: Buckets = { numRows: 3, limit: 3, hasBuckets: false };
const FURTHEST = 10_000;

const rows = (of: Buckets, distances: readonly number[]): readonly number[] => {
  const { rowOf } = bucketRows(of, FURTHEST);
  return distances.map(rowOf);
};

test("near distances have a row each, and further ones share rows, as in transformers 5.24", () => {
  const near = [-9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  assert.deepEqual(rows(FEW, near), [0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7]);
  const far = [-600, -512, -511, -300, -200, -129, -128, 127, 128, 129, 130, 200, 300, 510, 511, 512, 600];
  assert.deepEqual(
    rows(MANY, far),
    [0, 0, 1, 49, 87, 127, 128, 383, 384, 385, 386, 425, 463, 511, 511, 511, 511],
  );
});

test("halves of a table are for distances ahead and behind, as in transformers 5.24", () => {
  const { rowOf, reach } = halvedRows(32, 128);
  const distances = [
    600, 128, 127, 91, 64, 16, 9, 8, 7, 1, 0, -1, -7, -8, -9, -16, -64, -90, -91, -127, -600,
  ];
  const expected = [15, 15, 15, 15, 14, 10, 8, 8, 7, 1, 0, 17, 23, 24, 24, 26, 30, 30, 31, 31, 31];
  assert.deepEqual(distances.map(rowOf), expected);
  assert.deepEqual([rowOf(reach), rowOf(-reach)], [15, 31]);
});

test("without buckets each distance has a row, up to the last", () => {
  assert.deepEqual(rows(NONE, [-4, -3, -2, 0, 2, 3, 4]), [0, 0, 1, 3, 5, 5, 5]);
});

test("beyond their reach, distances have one row", () => {
  for (const buckets of [FEW, MANY, NONE, ODD]) {
    const { rowOf, reach } = bucketRows(buckets, FURTHEST);
    for (const further of [0, 1, 50, 5000]) {
      assert.equal(rowOf(reach + further), 2 * buckets.numRows - 1);
      assert.equal(rowOf(-reach - further), 0);
    }
    assert.ok(rowOf(reach - 1) < 2 * buckets.numRows - 1 || rowOf(1 - reach) > 0);
  }
});

test("a table has no numbers for distances that there are not", () => {
  assert.equal(bucketRows({ numRows: 5, limit: 60_000, hasBuckets: true }, 512).reach, 512);
});

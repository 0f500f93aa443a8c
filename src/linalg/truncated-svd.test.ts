import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Random } from "../random.ts";
import { type SingularTriplet, truncatedSvd } from "./truncated-svd.ts";

/** A matrix of known singular values: their sum of products of columns of two orthogonal bases of cosines. */
function matrixOf(rows: number, columns: number, values: readonly number[]): Float32Array {
  const cosines = (size: number): ((row: number, i: number) => number) => {
    return (row, i) =>
      Math.sqrt((i === 0 ? 1 : 2) / size) * Math.cos((Math.PI * i * (2 * row + 1)) / (2 * size));
  };
  const [left, right] = [cosines(rows), cosines(columns)];
  return Float32Array.from({ length: rows * columns }, (_, place) => {
    const [row, column] = [Math.floor(place / columns), place % columns];
    return values.reduce((sum, value, i) => sum + value * left(row, i) * right(column, i), 0);
  });
}

/** The largest entry of W v - σ u and Wᵀ u - σ v over all triplets. */
function residual(weight: Float32Array, columns: number, triplets: readonly SingularTriplet[]): number {
  const rows = weight.length / columns;
  let largest = 0;
  for (const { value, left, right } of triplets) {
    for (let row = 0; row < rows; row++) {
      const product = right.reduce((sum, v, column) => sum + v * weight[row * columns + column]!, 0);
      largest = Math.max(largest, Math.abs(product - value * left[row]!));
    }
    for (let column = 0; column < columns; column++) {
      const product = left.reduce((sum, u, row) => sum + u * weight[row * columns + column]!, 0);
      largest = Math.max(largest, Math.abs(product - value * right[column]!));
    }
  }
  return largest;
}

describe("truncatedSvd()", () => {
  // A slow decay, as weights of models have it: neighbours are 1 % apart.
  const values = Array.from({ length: 66 }, (_, i) => 2 * 0.99 ** i);
  for (const [rows, columns] of [
    [12, 20],
    [30, 7],
    [100, 180],
    [180, 100],
    [66, 66],
  ] as const) {
    test(`finds the leading values and vectors of [${rows}, ${columns}]`, () => {
      const own = values.slice(0, Math.min(rows, columns));
      const weight = matrixOf(rows, columns, own);
      const found = truncatedSvd(weight, [rows, columns], 5, new Random(1));
      assert.equal(found.length, 5);
      for (const [i, { value, left, right }] of found.entries()) {
        assert.ok(Math.abs(value - own[i]!) < 1e-6, `σ_${i} is ${value}, expected ${own[i]}`);
        assert.ok(Math.abs(Math.hypot(...left) - 1) < 1e-9 && Math.abs(Math.hypot(...right) - 1) < 1e-9);
      }
      assert.ok(residual(weight, columns, found) < 1e-6);
    });
  }

  test("the start of the search does not matter", () => {
    const weight = matrixOf(100, 180, values);
    const [one, other] = [1, 2].map((seed) => truncatedSvd(weight, [100, 180], 4, new Random(seed)));
    for (const [i, { left, right }] of one!.entries()) {
      const second = other![i]!;
      const sign = Math.sign(left[0]! * second.left[0]!);
      left.forEach((u, row) => assert.ok(Math.abs(u - sign * second.left[row]!) < 1e-5));
      right.forEach((v, column) => assert.ok(Math.abs(v - sign * second.right[column]!) < 1e-5));
    }
  });

  test("takes matrices of lower rank than asked for, and zeros", () => {
    const low = truncatedSvd(matrixOf(70, 90, [3, 2]), [70, 90], 4, new Random(1));
    assert.deepEqual(
      low.map(({ value }) => Math.round(value * 1e5) / 1e5),
      [3, 2, 0, 0],
    );
    const zeros = truncatedSvd(new Float32Array(70 * 90), [70, 90], 2, new Random(1));
    assert.ok(zeros.every(({ value, right }) => value === 0 && right.every((v) => v === 0)));
  });

  test("takes all singular values of a matrix", () => {
    const found = truncatedSvd(matrixOf(66, 80, values), [66, 80], 66, new Random(1));
    found.forEach(({ value }, i) => assert.ok(Math.abs(value - values[i]!) < 1e-6));
  });

  test("refuses more values than there are", () => {
    assert.throws(() => truncatedSvd(new Float32Array(6), [2, 3], 3, new Random(1)), /Cannot take 3/);
  });
});

import assert from "node:assert/strict";
import test from "node:test";
import { transposed } from "./transposed.ts";

test("a matrix is transposed, whatever its elements, and stays as it was", () => {
  for (const [numRows, numColumns] of [
    [2, 3],
    [1, 5],
    [70, 33],
    [0, 4],
  ] as const) {
    const data = Float32Array.from({ length: numRows * numColumns }, (_, i) => i);
    const before = data.slice();
    const found = transposed(data, numRows, numColumns);
    for (let row = 0; row < numRows; row++) {
      for (let column = 0; column < numColumns; column++)
        assert.equal(found[column * numRows + row], data[row * numColumns + column]);
    }
    assert.deepEqual(data, before);
    assert.deepEqual(transposed(found, numColumns, numRows), data);
  }
  assert.deepEqual(transposed(BigInt64Array.of(1n, 2n, 3n, 4n), 2, 2), BigInt64Array.of(1n, 3n, 2n, 4n));
});

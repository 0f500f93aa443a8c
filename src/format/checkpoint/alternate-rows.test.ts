import assert from "node:assert/strict";
import test from "node:test";
import { storedFloats, dequantize } from "../../quant/stored-tensor.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { apartInTurn, joinInTurn, readInTurn } from "./alternate-rows.ts";

const matrix = (numRows: number, numColumns: number, first: number) =>
  storedFloats(
    hostTensor(
      "float32",
      [numRows, numColumns],
      Float32Array.from({ length: numRows * numColumns }, (_, i) => first + i),
    ),
  );

test("rows of two lie in turn, and come apart again", () => {
  const [even, odd] = [matrix(3, 2, 0), matrix(3, 2, 10)];
  const joined = joinInTurn(even, odd);
  assert.deepEqual(joined.shape, [6, 2]);
  assert.deepEqual([...dequantize(joined)], [0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15]);
  assert.deepEqual(apartInTurn(joined), [even, odd]);
  const vector = storedFloats(hostTensor("float32", [4], Float32Array.of(1, 2, 3, 4)));
  assert.deepEqual(
    apartInTurn(vector).map((half) => [...dequantize(half)]),
    [
      [1, 3],
      [2, 4],
    ],
  );
});

test("some of them are read from wherever they begin, many in pieces", async () => {
  for (const [numRows, width] of [
    [3, 2],
    [5, 1],
    [3, 1 << 20],
  ] as const) {
    const [even, odd] = [matrix(numRows, width, 0), matrix(numRows, width, 1e7)];
    const whole = dequantize(joinInTurn(even, odd));
    const halves = [dequantize(even), dequantize(odd)] as const;
    for (let from = 0; from < 2 * numRows; from++) {
      for (let end = from + 1; end <= 2 * numRows; end++) {
        const into = new Float32Array((end - from) * width);
        await readInTurn({ shape: [numRows, width], start: from * width }, into, (half, start, part) => {
          part.set(halves[half].subarray(start, start + part.length));
          return Promise.resolve();
        });
        assert.deepEqual(into, whole.slice(from * width, end * width), `${width}: ${from} to ${end}`);
      }
    }
  }
});

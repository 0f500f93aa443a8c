import assert from "node:assert/strict";
import test from "node:test";
import { numElements } from "../../../graph/shape.ts";
import { dequantize, quantizeTo, type StoredTensor } from "../../../quant/stored-tensor.ts";
import type { StorageName } from "../../../quant/storages.ts";
import { stackTensors, TENSOR_CHANGES } from "./gguf-changes.ts";
import { originalRowOrder } from "./gguf-row-orders.ts";

const VALUES = { numKeyHeads: 2, numHeads: 4, rowsBefore: 12 };
const HEADS = { query: 4, key: 2, values: VALUES, groups: 4, keyRows: 0 };

/** Numbers that float16 and bfloat16 hold. */
function counting(storage: StorageName, shape: readonly number[]): StoredTensor {
  const values = Float32Array.from({ length: numElements(shape) }, (_, i) => (i % 128) - 64);
  return quantizeTo(storage, values, shape);
}

test("originalRowOrder() undoes what the converter does to the rows of q and k", () => {
  // The converter: reshape(heads, 2, width / 2).swapaxes(1, 2). Rows are named by head, half and place.
  const [numHeads, width] = [3, 8];
  const converted: string[] = [];
  for (let head = 0; head < numHeads; head++) {
    for (let place = 0; place < width / 2; place++) {
      for (let half = 0; half < 2; half++) converted.push(`${head} ${half} ${place}`);
    }
  }
  const original = [...originalRowOrder(numHeads * width, numHeads)].map((row) => converted[row]);
  assert.deepEqual(original, converted.toSorted());
  assert.throws(() => originalRowOrder(10, 3), /10 rows, expected a multiple of 2 x 3 heads/);
});

/** Of what files keep, where it is no matrix of several rows and columns. */
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  row: [32],
  "one-row": [1, 32],
  "as-row": [4, 32],
  "as-column": [32, 1],
  "decay-column": [32, 1],
};
/** The same numbers, of another shape. */
const IS_SAME = new Set(["row", "one-row", "taps", "as-row", "as-column"]);

for (const [name, rule] of Object.entries(TENSOR_CHANGES)) {
  for (const storage of ["f32", "f16", "bf16", "q8_0"] as const) {
    if (SHAPES[name]?.at(-1) === 1 && storage === "q8_0") continue; // one number is no block
    test(`${name}: what is undone and done again is as it was, from ${storage}`, () => {
      // What is forgotten is kept below zero, and its logarithm is rounded.
      const isDecay = name.endsWith("-decay") || name.startsWith("decay-");
      const counted = counting(storage, SHAPES[name] ?? [24, 32]);
      const before = isDecay
        ? quantizeTo(
            storage,
            dequantize(counted).map((value) => -65 - value),
            counted.shape,
          )
        : counted;
      const undone = rule.undo(before, HEADS);
      const { shape, storage: kind } = rule.turn(before, HEADS);
      assert.deepEqual([undone.shape, undone.storage], [shape, kind]);
      if (!IS_SAME.has(name)) assert.notDeepEqual(dequantize(undone), dequantize(before));
      const again = rule.redo(undone, HEADS);
      assert.deepEqual(again.shape, before.shape);
      if (isDecay) {
        for (const [i, value] of dequantize(before).entries())
          assert.ok(Math.abs(dequantize(again)[i]! / value - 1) < 1e-6);
      } else assert.deepEqual([...dequantize(again)], [...dequantize(before)]);
    });
  }
}

for (const [name, rule] of Object.entries(TENSOR_CHANGES)) {
  const { placeRows } = rule;
  if (placeRows === null) continue;
  test(`${name}: rows that are placed some at a time are the tensor that is undone`, () => {
    const before = quantizeTo(
      "f32",
      Float32Array.from({ length: 768 }, (_, i) => i),
      [24, 32],
    );
    const values = dequantize(before);
    const into = new Float32Array(768);
    for (let first = 0; first < 24; first += 5) {
      const data = values.subarray(first * 32, Math.min(24, first + 5) * 32);
      placeRows({ data, first, shape: [24, 32] }, HEADS, into);
    }
    assert.deepEqual(into, dequantize(rule.undo(before, HEADS)));
  });
}

test("a matrix of one row is one too where a program that copied the file has made it a vector", () => {
  const vector = quantizeTo("f32", Float32Array.of(1, 2), [2]);
  assert.deepEqual(TENSOR_CHANGES["one-row"].undo(vector, HEADS).shape, [1, 2]);
});

test("rows that lie by what they are for lie by head: of 2 heads, q, k and v in rows of 2", () => {
  // The converter: reshape(heads, 3, width), then all of q, all of k, all of v. Rows are named by their place in the folder.
  const file = Float32Array.of(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11);
  const before = quantizeTo("f32", file, [12, 1]);
  const found = dequantize(TENSOR_CHANGES["qkv-rows"].undo(before, { ...HEADS, query: 2 }));
  assert.deepEqual([...found], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("a norm loses its one, a matrix is turned round", () => {
  const before = counting("f32", [2, 3]);
  assert.deepEqual(
    [...dequantize(TENSOR_CHANGES["plus-one"].undo(before, HEADS))],
    [-65, -64, -63, -62, -61, -60],
  );
  assert.deepEqual(
    [...dequantize(TENSOR_CHANGES.transposed.undo(before, HEADS))],
    [-64, -61, -63, -60, -62, -59],
  );
});

test("a stack holds its parts one after another, as they are stored", () => {
  const parts = [0, 1, 2].map((shift) => quantizeTo("q8_0", new Float32Array(64).fill(shift), [2, 32]));
  const stack = stackTensors(parts, 1);
  assert.deepEqual([stack.storage, stack.shape], ["q8_0", [3, 2, 32]]);
  assert.deepEqual(stackTensors([...parts, parts[0]!], 2).shape, [2, 4, 32]);
  assert.deepEqual(
    [...dequantize(stack)],
    parts.flatMap((part) => [...dequantize(part)]),
  );
});

test("heads of values lie by the key head that they share, behind what stays; equally many lie as they are", () => {
  // Two of each key head: the converter writes (key, j) at (j, key). Rows are named by their place in the folder.
  const rows = quantizeTo("f32", Float32Array.of(0, 1, 2, 4, 3, 5), [6, 1]);
  const heads = { ...HEADS, values: { numKeyHeads: 2, numHeads: 4, rowsBefore: 2 } };
  const { "last-value-rows": last, "value-columns": columns } = TENSOR_CHANGES;
  assert.deepEqual([...dequantize(last.undo(rows, heads))], [0, 1, 2, 3, 4, 5]);
  const row = quantizeTo("f32", Float32Array.of(0, 1, 4, 5, 2, 3, 6, 7), [1, 8]);
  assert.deepEqual([...dequantize(columns.undo(row, heads))], [0, 1, 2, 3, 4, 5, 6, 7]);
  const alike = { ...heads, values: { numKeyHeads: 4, numHeads: 4, rowsBefore: 2 } };
  for (const rule of [last, columns]) assert.equal(rule.undo(row, alike), row);
  const unlike = { ...heads, values: { numKeyHeads: 2, numHeads: 3, rowsBefore: 2 } };
  for (const rule of [last, columns])
    assert.throws(
      () => rule.undo(row, unlike),
      /^RangeError: .* rows, expected a multiple of 3 heads of values$/,
    );
  const blocks = quantizeTo(
    "q8_0",
    Float32Array.from({ length: 256 }, (_, i) => i),
    [2, 128],
  );
  assert.equal(columns.turn(blocks, heads).storage, "q8_0");
  assert.equal(columns.turn({ ...blocks, shape: [4, 64] }, heads).storage, "f32");
});

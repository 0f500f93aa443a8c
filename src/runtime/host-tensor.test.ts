/** @file Tensors in host memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostTensor, zeros } from "./host-tensor.ts";

test("hostTensor() wraps without copying and refuses another number of elements", () => {
  const data = Float32Array.of(1, 2, 3, 4);
  const tensor = hostTensor("float32", [2, 2], data);
  assert.equal(tensor.data, data);
  assert.throws(() => hostTensor("float32", [2, 3], data), {
    name: "RangeError",
    message: "Cannot wrap float32 [2, 3]: 4 elements, expected 6",
  });
});

test("zeros() makes the typed array of the element type", () => {
  assert.deepEqual(zeros("int64", [2]).data, BigInt64Array.of(0n, 0n));
  assert.deepEqual(zeros("float16", [3]).data, Uint16Array.of(0, 0, 0));
  assert.deepEqual(zeros("bool", []).data, Uint8Array.of(0));
});

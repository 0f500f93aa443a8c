import assert from "node:assert/strict";
import test from "node:test";
import { dequantize, quantizeTo } from "../../quant/stored-tensor.ts";
import { headForms, joinedHeadsForm, joinHeads, splitHeads } from "./key-value-heads.ts";

const [numHeads, keyRows, valueRows, inFeatures] = [2, 3, 2, 4];
const shape = [numHeads * (keyRows + valueRows), inFeatures];
/** Numbers that float16 holds: row and column. */
const values = Float32Array.from(
  { length: 40 },
  (_, i) => 10 * Math.floor(i / inFeatures) + (i % inFeatures),
);

for (const storage of ["f32", "f16", "bf16"] as const) {
  test(`rows of keys and values come apart by heads and together again, in ${storage}`, () => {
    const whole = quantizeTo(storage, values, shape);
    const forms = headForms(whole, numHeads, keyRows);
    const [ofKeys, ofValues] = splitHeads(whole, forms);
    assert.deepEqual(
      [ofKeys.shape, ofValues.shape],
      [
        [2, 4, 3],
        [2, 2, 4],
      ],
    );
    assert.deepEqual([ofKeys.storage, ofValues.storage], [storage, storage]);
    // Column 1 of the keys of head 1, and the first row of its values.
    assert.deepEqual([...dequantize(ofKeys).subarray(15, 18)], [51, 61, 71]);
    assert.deepEqual([...dequantize(ofValues).subarray(8, 12)], [80, 81, 82, 83]);
    const again = joinHeads(ofKeys, ofValues);
    assert.deepEqual([again.shape, again.storage], [shape, storage]);
    assert.deepEqual(dequantize(again), values);
  });
}

test("blocks stay where they fit rows, and become floats together", () => {
  const forms = headForms({ shape: [2 * (32 + 16), 64], storage: "q8_0" }, 2, 32);
  assert.deepEqual(forms, [
    { shape: [2, 64, 32], storage: "q8_0" },
    { shape: [2, 16, 64], storage: "q8_0" },
  ]);
  assert.deepEqual(joinedHeadsForm(forms[0], forms[1]), { shape: [96, 64], storage: "f32" });
  const [narrow] = headForms({ shape: [2 * (24 + 16), 64], storage: "q8_0" }, 2, 24);
  assert.equal(narrow.storage, "f32");
});

test("parts of unlike heads are refused", () => {
  const storage = "f32";
  for (const other of [
    [3, 2, 4],
    [2, 2, 5],
  ])
    assert.throws(
      () => joinedHeadsForm({ shape: [2, 4, 3], storage }, { shape: other, storage }),
      RangeError,
    );
});

/** @file The codes of NF4: its sixteen numbers, and values rounded to the nearest of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../random.ts";
import { NF4_VALUES } from "./nf4.ts";
import { dequantize, quantizeTo, roomForRows, setRows } from "../stored-tensor.ts";

/** Φ⁻¹ by bisection of Φ, whose integral is summed. */
function normalQuantile(share: number): number {
  const cumulative = (x: number): number => {
    const steps = 4000;
    const width = x / steps;
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const density = (at: number): number => Math.exp(-(at ** 2) / 2);
      sum += (density(i * width) + 4 * density((i + 0.5) * width) + density((i + 1) * width)) / 6;
    }
    return 0.5 + (sum * width) / Math.sqrt(2 * Math.PI);
  };
  let [low, high] = [-4, 4];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (cumulative(middle) < share) low = middle;
    else high = middle;
  }
  return low;
}

test("the sixteen numbers are quantiles of the normal distribution, 8 above zero and 7 below", () => {
  const offset = (1 - 1 / (2 * 15) + 1 - 1 / (2 * 16)) / 2;
  const above = Array.from({ length: 8 }, (_, i) => normalQuantile(offset + (i * (0.5 - offset)) / 8));
  const below = Array.from({ length: 7 }, (_, i) => -normalQuantile(offset + (i * (0.5 - offset)) / 7));
  const largest = Math.max(...above);
  const expected = [...above, 0, ...below].map((value) => value / largest).sort((a, b) => a - b);
  assert.equal(NF4_VALUES.length, 16);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(NF4_VALUES[i]! - value) < 1e-5, `${i}: ${value}`);
});

test("every value becomes the nearest of the numbers times the largest of its block", () => {
  const random = new Random(3);
  const values = Float32Array.from({ length: 6 * 64 }, (_, i) =>
    i < 64 ? 0 : random.normal() * 2 ** (i >> 6),
  );
  const rounded = dequantize(quantizeTo("nf4", values, [3, 128]));
  for (const [i, value] of values.entries()) {
    const block = values.subarray(i - (i % 64), i - (i % 64) + 64);
    const largest = Math.max(...block.map(Math.abs));
    const nearest = Math.min(...[...NF4_VALUES].map((each) => Math.abs(each * largest - value)));
    assert.ok(Math.abs(rounded[i]! - value) <= nearest + 1e-6 * largest, `${i}: ${value}, ${rounded[i]}`);
  }
  assert.deepEqual(dequantize(quantizeTo("nf4", rounded, [3, 128])), rounded);
});

test("rows that are rounded some at a time and joined are those of the whole", () => {
  const random = new Random(4);
  const values = Float32Array.from({ length: 5 * 64 }, () => random.normal());
  for (const kind of ["nf4", "q4_1", "q8_0"] as const) {
    const first = quantizeTo(kind, values.slice(0, 128), [2, 64]);
    const joined = roomForRows(first, 5);
    setRows(joined, first, 0);
    setRows(joined, quantizeTo(kind, values.slice(128), [3, 64]), 2);
    assert.deepEqual(joined, quantizeTo(kind, values, [5, 64]), kind);
  }
});

/** @file Reads golden numbers, and compares with them; recipes are in data/README.md. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors } from "../../src/format/by-path.ts";

/** The path of a file or folder of golden numbers. */
export function goldenPath(...parts: readonly string[]): string {
  return join(import.meta.dirname, "data", ...parts);
}

/** Reads a JSON file of golden numbers. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only the caller knows the form of its file
export function goldenJson<T>(...parts: readonly string[]): T {
  return JSON.parse(readFileSync(goldenPath(...parts), "utf8")) as T;
}

/** Reads all float32 tensors of a golden file. */
export async function goldenTensors(...parts: readonly string[]): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(goldenPath(...parts));
  const tensors = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) tensors.set(name, (await file.read(name)).data as Float32Array);
  await file.close();
  return tensors;
}

/** The tensors of a golden file by name; asking for one that is not there fails. */
export async function goldenTensor(...parts: readonly string[]): Promise<(name: string) => Float32Array> {
  const tensors = await goldenTensors(...parts);
  return (name) => {
    const found = tensors.get(name);
    assert.ok(found, name);
    return found;
  };
}

/** Rows of token ids with labels, as Hugging Face's models take them. */
export interface GoldenBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
}

/** Asserts that two numbers differ by at most `tolerance`. */
export function assertNear(actual: number, expected: number, tolerance: number, what: string): void {
  const difference = Math.abs(actual - expected);
  assert.ok(difference <= tolerance, `${what} is ${actual}, expected ${expected}: ${difference} apart`);
}

/** The largest difference of two arrays, over the largest entry of the second. */
export function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  assert.equal(actual.length, expected.length);
  let [difference, size] = [0, 0];
  expected.forEach((value, i) => {
    // Not Math.max alone: it would let NaN through as NaN, which no comparison notices.
    const apart = Math.abs(actual[i]! - value);
    difference = Number.isNaN(apart) ? Infinity : Math.max(difference, apart);
    size = Math.max(size, Math.abs(value));
  });
  return size === 0 ? difference : difference / size;
}

/** Asserts that two arrays differ by a share of the largest entry of the second at most. */
export function assertRelative(
  actual: Float32Array,
  expected: Float32Array,
  tolerance: number,
  what: string,
): void {
  const difference = relativeDifference(actual, expected);
  assert.ok(difference <= tolerance, `${what} is ${difference} apart`);
}

/** The Frobenius norm of the difference of two arrays, over that of the second. */
export function relativeNorm(actual: Float32Array, expected: Float32Array): number {
  assert.equal(actual.length, expected.length);
  let [difference, size] = [0, 0];
  expected.forEach((value, i) => {
    difference += (actual[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

/** Asserts that logits [B·T, V] agree where the mask says that there is a token. */
export function assertLogits(
  actual: Float32Array,
  expected: Float32Array,
  mask: readonly (readonly number[])[],
  tolerance: number,
): void {
  assert.equal(actual.length, expected.length);
  const flags = mask.flat();
  const vocabSize = actual.length / flags.length;
  let largest = 0;
  for (const [row, flag] of flags.entries()) {
    if (flag === 0) continue;
    for (let i = row * vocabSize; i < (row + 1) * vocabSize; i++) {
      const apart = Math.abs(actual[i]! - expected[i]!);
      largest = Number.isNaN(apart) ? Infinity : Math.max(largest, apart);
    }
  }
  assert.ok(largest <= tolerance, `logits are ${largest} apart, expected at most ${tolerance}`);
}

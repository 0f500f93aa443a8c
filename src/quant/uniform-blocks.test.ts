/** @file Blocks of every kind that has them give its values, but for the rounding of scales and offsets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../random.ts";
import { dequantize, unpackStored } from "./stored-tensor.ts";
import { type StorageName, STORAGES } from "./storages.ts";
import { blockFormOf, readBlocks } from "./uniform-blocks.ts";

const [NUM_ROWS, NUM_COLUMNS] = [3, 512];

for (const name of Object.keys(STORAGES) as StorageName[]) {
  const form = blockFormOf(name);
  if (!form) continue;
  test(`blocks of ${name}: no code is rounded`, () => {
    const { bits, size, hasOffsets } = form;
    const { blockSize, blockBytes } = STORAGES[name];
    const random = new Random(1);
    const bytes = new Uint8Array(((NUM_ROWS * NUM_COLUMNS) / blockSize) * blockBytes);
    // The upper byte of a float16 has its sign and exponent: kept below infinity.
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(0x78);
    const stored = unpackStored(name, bytes, [NUM_ROWS, NUM_COLUMNS]);
    const numBlocks = (NUM_ROWS * NUM_COLUMNS) / size;
    const codes = new Uint8Array((NUM_ROWS * NUM_COLUMNS * bits) / 8);
    const [scales, offsets] = [new Float32Array(numBlocks), new Float32Array(numBlocks)];
    readBlocks(stored, { codes, scales, offsets: hasOffsets ? offsets : null });
    const values = dequantize(stored);
    for (const [i, value] of values.entries()) {
      const pair = codes[i >> 1]!;
      const code = bits === 8 ? codes[i]! - 128 : (i % 2 === 0 ? pair & 15 : pair >> 4) - 8;
      const block = Math.floor(i / size);
      const found = scales[block]! * code + offsets[block]!;
      const largest = Math.abs(scales[block]!) * 128 + Math.abs(offsets[block]!);
      assert.ok(Math.abs(found - value) <= 1e-6 * largest, `value ${i}: ${found}, expected ${value}`);
    }
  });
}

/** @file Blocks of every kind that has them give its values, but for the rounding of scales and offsets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../random.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { dequantize, type StoredTensor, unpackStored } from "./stored-tensor.ts";
import { type StorageName, STORAGES } from "./storages.ts";
import { type BlockForm, type BlockMemory, blockFormOf, blockPlanes, readBlocks } from "./uniform-blocks.ts";

const [NUM_ROWS, NUM_COLUMNS] = [3, 512];

/** A tensor of any numbers. */
function anyStored(name: StorageName): StoredTensor {
  const { blockSize, blockBytes } = STORAGES[name];
  const random = new Random(1);
  const bytes = new Uint8Array(((NUM_ROWS * NUM_COLUMNS) / blockSize) * blockBytes);
  // The upper byte of a float16 has its sign and exponent: kept below infinity.
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(0x78);
  return unpackStored(name, bytes, [NUM_ROWS, NUM_COLUMNS]);
}

function blockMemory({ bits, size, hasOffsets }: BlockForm): BlockMemory {
  const numBlocks = (NUM_ROWS * NUM_COLUMNS) / size;
  const codes = new Uint8Array((NUM_ROWS * NUM_COLUMNS * bits) / 8);
  const offsets = hasOffsets ? new Float32Array(numBlocks) : null;
  return { codes, scales: new Float32Array(numBlocks), offsets };
}

for (const name of Object.keys(STORAGES) as StorageName[]) {
  const form = blockFormOf(name);
  if (!form) continue;
  test(`blocks of ${name}: no code is rounded`, () => {
    const { bits, size } = form;
    const stored = anyStored(name);
    const blocks = blockMemory(form);
    readBlocks(stored, blocks);
    const { codes, scales } = blocks;
    const offsets = blocks.offsets ?? new Float32Array(scales.length);
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

  test(`blocks of ${name}: the same where planes lie in their memory`, () => {
    const stored = anyStored(name);
    const [apart, within] = [blockMemory(form), blockMemory(form)];
    readBlocks(stored, apart);
    const memory = blockPlanes(name, within);
    const planes = Object.entries(stored.planes).map(
      ([key, { dtype, shape, data }]): [string, HostTensor] => {
        const given = memory[key];
        if (given?.dtype !== dtype || given.data.length !== data.length) return [key, { dtype, shape, data }];
        (given.data as Uint8Array).set(data as Uint8Array);
        return [key, { ...given, shape }];
      },
    );
    readBlocks({ ...stored, planes: Object.fromEntries(planes) }, within);
    assert.deepEqual(within, apart);
  });
}

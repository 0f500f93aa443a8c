/** @file Codes of 4 bits are joined the same wherever their bytes lie, and are split again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { joinNibbles, splitNibbles } from "./nibbles.ts";

const [NUM_BLOCKS, NUM_BYTES, STRIDE] = [5, 32, 36];
const SIZES = { numBlocks: NUM_BLOCKS, numBytes: NUM_BYTES, distance: 16 };

test("joinNibbles() pairs neighbours on whole words and beside them, and splitNibbles() undoes it", () => {
  const bytes = Uint8Array.from({ length: NUM_BLOCKS * STRIDE }, (_, i) => (i * 37 + 11) % 256);
  const joinAt = (offset: number): Uint8Array => {
    const data = new Uint8Array(bytes.length + offset + 4 - (offset % 4)).subarray(offset);
    data.set(bytes);
    const joined = new Uint8Array(NUM_BLOCKS * NUM_BYTES);
    joinNibbles({ data, start: 4, stride: STRIDE }, { data: joined, start: 0, stride: NUM_BYTES }, SIZES);
    return joined;
  };
  const joined = joinAt(0);
  assert.deepEqual(joinAt(1), joined);
  // Code i of a run lies in the low half of byte i, code i + 16 in its high half.
  const code = (block: number, i: number): number => {
    const byte = bytes[4 + block * STRIDE + 16 * Math.floor(i / 32) + (i % 16)]!;
    return i % 32 < 16 ? byte & 0x0f : byte >> 4;
  };
  for (let block = 0; block < NUM_BLOCKS; block++)
    for (let k = 0; k < NUM_BYTES; k++)
      assert.equal(joined[block * NUM_BYTES + k], code(block, 2 * k) | (code(block, 2 * k + 1) << 4));
  const back = bytes.slice().fill(0);
  splitNibbles(
    { data: joined, start: 0, stride: NUM_BYTES },
    { data: back, start: 4, stride: STRIDE },
    SIZES,
  );
  for (let block = 0; block < NUM_BLOCKS; block++) {
    const from = 4 + block * STRIDE;
    assert.deepEqual(back.subarray(from, from + NUM_BYTES), bytes.subarray(from, from + NUM_BYTES));
  }
});

/** @file What V8 counts of the memory of programs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BufferPool } from "./buffer-pool.ts";
import { DroppedMemory, LastingTensors, makeUncounted } from "./program-memory.ts";

/** Bytes that V8 counts beside its heap, more than before; what else is freed meanwhile is small. */
function countedBy(work: () => ArrayBufferView | ArrayBufferLike): number {
  const before = process.memoryUsage().external;
  const held = work();
  const counted = process.memoryUsage().external - before;
  assert.ok(held.byteLength > 0);
  return counted;
}

/** Bytes of plain memory that is made meanwhile. */
function madeBy(work: () => void): number {
  let sizeBytes = 0;
  const plain = globalThis.ArrayBuffer;
  globalThis.ArrayBuffer = class extends plain {
    constructor(length: number) {
      sizeBytes += length;
      super(length);
    }
  } as ArrayBufferConstructor;
  try {
    work();
  } finally {
    globalThis.ArrayBuffer = plain;
  }
  return sizeBytes;
}

test("V8 does not count memory of programs, which is all zeros", () => {
  assert.ok(countedBy(() => new ArrayBuffer(50e6)) > 40e6);
  assert.ok(countedBy(() => makeUncounted(50e6)) < 10e6);
  assert.ok(countedBy(() => new BufferPool(makeUncounted).acquire("float32", [12e6]).data) < 10e6);
  assert.ok(new Uint8Array(makeUncounted(100)).every((byte) => byte === 0));
});

test("V8 hears of memory that was dropped as soon as it is enough to collect", () => {
  const dropped = new DroppedMemory();
  assert.deepEqual(
    [10e6, 10e6, 10e6, 100e6].map((sizeBytes) => madeBy(() => dropped.add(sizeBytes))),
    [0, 64e6, 0, 64e6],
  );
});

test("a pool tells of blocks that it gives up: those that are too small, and all free ones when it is cleared", () => {
  const pool = new BufferPool(makeUncounted);
  pool.release(...[2.5e6, 2.5e6].map((length) => pool.acquire("float32", [length])));
  assert.equal(
    madeBy(() => pool.clear()),
    64e6,
  );
  pool.release(pool.acquire("float32", [3e6]));
  assert.equal(
    madeBy(() => pool.release(pool.acquire("float32", [4e6]))),
    0,
  );
  assert.equal(
    madeBy(() => pool.clear()),
    64e6,
  );
});

test("tensors that last are of zeros, and V8 hears of them when they are dropped, once, unless they are tiny", () => {
  const tensors = new LastingTensors(makeUncounted);
  assert.ok(countedBy(() => tensors.zeros("float32", [5, 1e6]).data) < 10e6);
  const { dtype, shape, data } = tensors.zeros("int8", [3, 1e6]);
  assert.deepEqual([dtype, shape, data.constructor, data.length], ["int8", [3, 1e6], Int8Array, 3e6]);
  assert.ok(data.every((value) => value === 0));
  assert.deepEqual([madeBy(() => tensors.drop()), madeBy(() => tensors.drop())], [64e6, 0]);
  for (const [length, heard] of [
    [999_999, 0],
    [1_000_000, 64e6],
  ] as const) {
    tensors.zeros("float32", [length]);
    assert.equal(
      madeBy(() => tensors.drop()),
      heard,
    );
  }
});

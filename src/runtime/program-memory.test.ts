/** @file What V8 counts of the memory of programs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BufferPool } from "./buffer-pool.ts";
import { DroppedMemory, LastingTensors, makeUncounted } from "./program-memory.ts";

/** Bytes that V8 counts beside its heap, more than before. */
function countedBy(work: () => unknown): number {
  const before = process.memoryUsage().external;
  const held = work();
  const after = process.memoryUsage().external;
  assert.ok(held !== null);
  return after - before;
}

test("V8 does not count memory of programs, which is all zeros", () => {
  assert.ok(countedBy(() => new ArrayBuffer(50e6)) >= 50e6);
  assert.ok(countedBy(() => makeUncounted(50e6)) < 1e6);
  assert.ok(countedBy(() => new BufferPool(makeUncounted).acquire("float32", [12e6])) < 1e6);
  assert.ok(new Uint8Array(makeUncounted(100)).every((byte) => byte === 0));
});

test("V8 hears of memory that was dropped as soon as it is enough to collect", () => {
  const dropped = new DroppedMemory();
  assert.ok(countedBy(() => dropped.add(40e6)) < 1e6);
  assert.ok(countedBy(() => dropped.add(40e6)) >= 60e6);
  assert.ok(countedBy(() => dropped.add(40e6)) < 1e6);
});

test("a pool tells of blocks that it gives up: those that are too small, and all free ones when it is cleared", () => {
  const pool = new BufferPool(makeUncounted);
  const two = [pool.acquire("float32", [10e6]), pool.acquire("float32", [10e6])];
  pool.release(...two);
  assert.ok(countedBy(() => pool.clear()) >= 60e6);
  pool.release(pool.acquire("float32", [12e6]));
  assert.ok(countedBy(() => pool.release(pool.acquire("float32", [16e6]))) < 1e6);
  assert.ok(countedBy(() => pool.clear()) >= 60e6);
});

test("V8 hears of tensors that last when they are dropped, once", () => {
  const tensors = new LastingTensors(makeUncounted);
  assert.ok(countedBy(() => tensors.zeros("float32", [5, 1e6])) < 1e6);
  const { dtype, shape, data } = tensors.zeros("int8", [100, 1e6]);
  assert.deepEqual([dtype, shape, data.constructor, data.length], ["int8", [100, 1e6], Int8Array, 100e6]);
  assert.ok(countedBy(() => tensors.drop() ?? true) >= 60e6);
  assert.ok(countedBy(() => tensors.drop() ?? true) < 1e6);
});

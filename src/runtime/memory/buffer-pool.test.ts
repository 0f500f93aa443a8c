/** @file Reuse and accounting of host memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { BufferPool } from "./buffer-pool.ts";
import { type HostTensor, zeros } from "../host-tensor.ts";

test("acquire() hands out what was released before it makes anything", () => {
  const pool = new BufferPool();
  const first = pool.acquire("float32", [2, 3]);
  assert.equal(pool.allocatedBytes, 24);
  pool.release(first);
  assert.equal(pool.acquire("float32", [2, 3]), first);
  assert.equal(pool.allocatedBytes, 24);
});

test("acquire() makes a fresh tensor when all that fit are lent", () => {
  const pool = new BufferPool();
  const first = pool.acquire("float32", [2, 3]);
  const second = pool.acquire("float32", [2, 3]);
  assert.notEqual(second.data.buffer, first.data.buffer);
  assert.equal(pool.allocatedBytes, 48);
});

test("acquire() lends a block under another shape or type, as the same view each time", () => {
  const pool = new BufferPool();
  const first = pool.acquire("float32", [2, 3]);
  pool.release(first);
  const other = pool.acquire("int64", [3]);
  assert.equal(other.data.buffer, first.data.buffer);
  assert.deepEqual([other.dtype, other.shape, other.data.length], ["int64", [3], 3]);
  pool.release(other);
  assert.equal(pool.acquire("float32", [2, 3]), first);
  assert.equal(pool.allocatedBytes, 24);
});

test("a pool of another's blocks takes back what it has lent itself, and nothing else", () => {
  const pool = new BufferPool();
  const kept = pool.acquire("float32", [4]);
  const own = new BufferPool(pool);
  const [given, left] = [own.acquire("float32", [6]), own.acquire("float32", [8])];
  own.release(given);
  // Lent again, by the other.
  const again = pool.acquire("float32", [6]);
  assert.equal(again, given);
  own.takeBack();
  assert.throws(() => own.release(left), /it is not lent/);
  pool.release(kept, again);
  pool.clear();
  assert.equal(pool.allocatedBytes, 0);
});

test("acquire() takes the smallest block that fits, and none that is more than twice as large", () => {
  const pool = new BufferPool();
  const [large, small] = [pool.acquire("float32", [16]), pool.acquire("float32", [10])];
  pool.release(large, small);
  assert.equal(pool.acquire("float32", [8]).data.buffer, small.data.buffer);
  assert.notEqual(pool.acquire("float32", [7]).data.buffer, large.data.buffer);
  assert.equal(pool.acquire("float32", [8]).data.buffer, large.data.buffer);
});

test("release() refuses what is not lent", () => {
  const pool = new BufferPool();
  const tensor = pool.acquire("float32", [2]);
  pool.release(tensor);
  const message = "Cannot release float32 [2]: it is not lent";
  assert.throws(() => pool.release(tensor), { name: "RangeError", message });
  assert.throws(() => pool.release(zeros("float32", [2])), { name: "RangeError", message });
});

test("clear() drops what is free and leaves what is lent", () => {
  const pool = new BufferPool();
  const [kept, dropped] = [pool.acquire("float32", [4]), pool.acquire("float32", [4])];
  pool.release(dropped);
  pool.clear();
  assert.equal(pool.allocatedBytes, 16);
  assert.notEqual(pool.acquire("float32", [4]), dropped);
  pool.release(kept);
  assert.equal(pool.acquire("float32", [4]), kept);
});

test("acquire() drops a block that is too small when it makes a larger one", () => {
  const pool = new BufferPool();
  pool.release(pool.acquire("float32", [4]));
  pool.release(pool.acquire("float32", [6]));
  assert.equal(pool.allocatedBytes, 24);
});

test("no memory is lent twice, and all of it is counted", () => {
  const action = fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ give: fc.nat(9) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const pool = new BufferPool();
      const lent: HostTensor[] = [];
      const seen = new Set<ArrayBufferLike>();
      for (const a of actions) {
        if ("take" in a) {
          const tensor = pool.acquire("float32", [a.take]);
          assert.ok(lent.every((t) => t.data.buffer !== tensor.data.buffer));
          assert.ok(tensor.data.buffer.byteLength <= 2 * tensor.data.byteLength);
          lent.push(tensor);
          seen.add(tensor.data.buffer);
        } else if (lent.length > 0) {
          pool.release(...lent.splice(a.give % lent.length, 1));
        }
      }
      const everMade = [...seen].reduce((sum, buffer) => sum + buffer.byteLength, 0);
      assert.ok(pool.allocatedBytes <= everMade);
      pool.clear();
      assert.equal(
        pool.allocatedBytes,
        lent.reduce((sum, t) => sum + t.data.buffer.byteLength, 0),
      );
    }),
  );
});

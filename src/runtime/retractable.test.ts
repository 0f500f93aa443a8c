/** @file Memory that goes and comes back, in large pages and in resizable buffers: address, zeros, and that programs refuse what is away. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Borrowed } from "./borrowed-memory.ts";
import { hostTensor } from "./host-tensor.ts";
import { reserveLargePages } from "./large-pages.ts";
import { Retractable } from "./retractable.ts";
import { ShardMemory } from "./shard-memory.ts";

const LENGTH = 2.5 * 2 ** 20;
const BYTES = 4 * LENGTH;

test("large pages are Linux's, and for what is not smaller than one", () => {
  assert.equal(reserveLargePages(2 ** 21 - 1), null);
  const pages = reserveLargePages(BYTES);
  if (process.platform !== "linux") return assert.equal(pages, null);
  assert.equal(pages?.buffer.byteLength, BYTES);
  assert.throws(() => pages?.buffer.transfer(), TypeError);
});

for (const [name, reserve] of [
  ["large pages", reserveLargePages],
  ["resizable buffers", () => null],
] as const) {
  describe(name, () => {
    test("memory goes back to the system and comes back as zeros, at the same address", () => {
      const memory = new Retractable(BYTES, reserve(BYTES));
      const values = new Float32Array(memory.buffer, 0, LENGTH);
      values.fill(1);
      const full = process.memoryUsage().rss;
      memory.retract();
      assert.ok(full - process.memoryUsage().rss > 0.9 * BYTES);
      assert.ok(!memory.isThere);
      memory.extend();
      assert.ok(memory.isThere);
      assert.equal(values.length, LENGTH);
      assert.ok(values.every((value) => value === 0));
    });

    test("programs refuse memory that is away, and take it when it is back", () => {
      const memory = new Retractable(BYTES, reserve(BYTES));
      const tensor = hostTensor("float32", [LENGTH], new Float32Array(memory.buffer, 0, LENGTH));
      const borrowed = new Borrowed(tensor, "x");
      assert.ok(borrowed.isOf(tensor));
      borrowed.read();
      assert.throws(() => memory.retract(), /while a program uses it/);
      borrowed.endRead();
      memory.retract();
      assert.ok(!borrowed.isOf(tensor));
      assert.throws(() => new Borrowed(tensor, "x"), /^RangeError: x .*no memory/);
      memory.extend();
      assert.ok(borrowed.isOf(tensor));
    });

    test("shards keep their numbers, and begin with zeros", async () => {
      const files = new Map<number, Uint8Array>();
      const disk = {
        write: async (index: number, bytes: Uint8Array) => void files.set(index, bytes.slice()),
        read: async (index: number, into: Uint8Array) => into.set(files.get(index) as Uint8Array),
      };
      const memory = new ShardMemory(BYTES, disk, "float32", reserve);
      const vectors = [1, 2, 3].map((i) =>
        memory.make(
          { name: `vector ${i}`, sizeBytes: BYTES },
          (buffer) => new Float32Array(buffer, 0, LENGTH),
        ),
      );
      for (const expected of [0, 1, 2]) {
        for (const vector of vectors) {
          const hold = await memory.hold([vector], "change");
          assert.deepEqual([vector[0], vector[LENGTH - 1]], [expected, expected]);
          vector.fill(expected + 1);
          hold.release();
        }
      }
    });
  });
}

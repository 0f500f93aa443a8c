/** @file Memory that goes and comes back, in large pages, in those of a file and in resizable buffers: address, zeros, and that programs refuse what is away. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Borrowed } from "./borrowed-memory.ts";
import { hostTensor } from "../host-tensor.ts";
import { FilePages, canBringPages } from "./file-pages.ts";
import { LargePages } from "./large-pages.ts";
import { type Pages, Retractable } from "./retractable.ts";
import { ShardMemory } from "./shard-memory.ts";
import type { MemorySpec } from "./vector-memory.ts";
import { ShardFolder } from "../../train/files/folder/shard-folder.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";
import { residentBytes } from "../../../test/process/resident-bytes.ts";

const LENGTH = 2.5 * 2 ** 20;
const BYTES = 4 * LENGTH;

test("large pages are Linux's, and for what is not smaller than one", () => {
  assert.equal(new LargePages().reserve(2 ** 21 - 1), null);
  const pages = new LargePages().reserve(BYTES);
  if (process.platform !== "linux") return assert.equal(pages, null);
  assert.equal(pages?.buffer.byteLength, BYTES);
  assert.throws(() => pages?.buffer.transfer(), TypeError);
});

test("memory of a buffer goes back to the system and comes back at the same address", async () => {
  const memory = new Retractable(BYTES);
  const values = new Float32Array(memory.buffer, 0, LENGTH).fill(1);
  const full = residentBytes();
  memory.retract();
  assert.ok(full - residentBytes() > 0.9 * BYTES);
  await memory.extend();
  assert.equal(values.length, LENGTH);
});

test(
  "large pages go from one vector to the next: no more of them than were in use at once",
  {
    skip: process.platform !== "linux",
  },
  async () => {
    const pages = new LargePages();
    const vectors = Array.from({ length: 8 }, () => new Retractable(BYTES, pages.reserve(BYTES)));
    const before = residentBytes();
    for (const round of [1, 2]) {
      for (const [i, memory] of vectors.entries()) {
        await memory.extend();
        const values = new Float32Array(memory.buffer, 0, LENGTH).fill(round * 10 + i);
        // Both at once: what is taken back lies where it was.
        const other = vectors[(i + 3) % 8]!;
        await other.extend();
        new Float32Array(other.buffer, 0, LENGTH).fill(7);
        other.retract();
        // By bytes, for numbers one by one are garbage, and with it memory: the first is it, and each is the next.
        const bytes = Buffer.from(memory.buffer, 0, BYTES);
        assert.equal(values[0], round * 10 + i);
        assert.ok(bytes.subarray(4).equals(bytes.subarray(0, -4)));
        memory.retract();
      }
    }
    assert.ok(residentBytes() - before < 3 * BYTES);
  },
);

const shards = new ShardFolder(temporaryFolder());
const ofFile = new FilePages(() => shards.openUnnamed());
after(() => ofFile.close());
const KINDS: Readonly<Record<string, (spec: Pick<MemorySpec, "sizeBytes">) => Pages | null>> = {
  "large pages": ({ sizeBytes }) => new LargePages().reserve(sizeBytes),
  "pages of a file": ({ sizeBytes }) => (canBringPages() ? ofFile.reserve(sizeBytes) : null),
  "resizable buffers": () => null,
};

for (const [name, reserve] of Object.entries(KINDS)) {
  describe(name, () => {
    test("programs refuse memory that is away, and take it when it is back", async () => {
      const memory = new Retractable(BYTES, reserve({ sizeBytes: BYTES }));
      if (!memory.isThere) await memory.extend();
      const tensor = hostTensor("float32", [LENGTH], new Float32Array(memory.buffer, 0, LENGTH));
      const borrowed = new Borrowed(tensor, "x");
      assert.ok(borrowed.isOf(tensor));
      borrowed.read();
      assert.throws(() => memory.retract(), /while a program uses it/);
      borrowed.endRead();
      memory.retract();
      assert.ok(!borrowed.isOf(tensor));
      assert.throws(() => new Borrowed(tensor, "x"), /^RangeError: x .*no memory/);
      await memory.extend();
      assert.ok(borrowed.isOf(tensor));
    });

    test("shards keep their numbers, and begin with zeros", async () => {
      const files = new Map<number, Uint8Array>();
      const disk = {
        write: async (index: number, bytes: Uint8Array) => void files.set(index, bytes.slice()),
        read: async (index: number, into: Uint8Array) => into.set(files.get(index)!),
      };
      const memory = new ShardMemory(BYTES, disk, { reserve });
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

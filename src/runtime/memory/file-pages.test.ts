/** @file Pages of a file: numbers come again after the memory has gone, files have no names, and what goes wrong is told. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { FilePages, type PageFile, canBringPages } from "./file-pages.ts";
import { findCollector } from "./find-collector.ts";
import { PAGE_BYTES } from "./large-pages.ts";
import { ShardMemory } from "./shard-memory.ts";
import { whileHeld } from "./vector-memory.ts";
import { ShardFolder } from "../../train/files/folder/shard-folder.ts";
import { residentBytes } from "../../../test/process/resident-bytes.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";

const LENGTH = 5 * 2 ** 20;
const BYTES = 4 * LENGTH;

describe("pages of a file", { skip: !canBringPages() }, () => {
  const shards = new ShardFolder(temporaryFolder());
  const open = (): Promise<PageFile | null> => shards.openUnnamed();

  test("memory goes and comes with its numbers, zeros at first, and no file has a name", async () => {
    const pages = new FilePages(open);
    const [one, other] = [pages.reserve(BYTES)!, pages.reserve(BYTES)!];
    const [a, b] = [new Float32Array(one.buffer), new Float32Array(other.buffer)];
    await one.take();
    assert.ok(a.every((value) => value === 0));
    a.fill(1);
    const there = residentBytes();
    assert.deepEqual([await one.store?.(), one.keepsNumbers], [true, false]);
    // It changes before it goes, and is written again.
    a.fill(4);
    assert.equal(await one.store?.(), true);
    one.giveBack();
    assert.equal(one.keepsNumbers, true);
    assert.ok(there - residentBytes() > 0.9 * BYTES);
    await other.take();
    b.fill(2);
    await one.take();
    assert.ok(a.every((value) => value === 4) && b.every((value) => value === 2));
    a.fill(5);
    one.giveBack();
    assert.deepEqual(readdirSync(shards.path), []);
    await one.take();
    assert.ok(a.every((value) => value === 5));
    await pages.close();
    assert.ok(a.every((value) => value === 0));
  });

  test("what never goes needs no file, and what is less than a page lies elsewhere", async () => {
    let numOpened = 0;
    const pages = new FilePages(async () => {
      numOpened++;
      return await open();
    });
    const memory = pages.reserve(BYTES)!;
    await memory.take();
    new Float32Array(memory.buffer).fill(1);
    await pages.close();
    assert.equal(numOpened, 0);
    assert.equal(pages.reserve(PAGE_BYTES - 1), null);
  });

  test("where a file cannot be made or mapped, numbers are to be kept otherwise", async () => {
    const unmapped = async (): Promise<PageFile> => ({
      descriptor: -1,
      path: "x",
      write: async () => {},
      close: async () => {},
    });
    for (const failing of [async () => null, unmapped]) {
      const memory = new FilePages(failing).reserve(BYTES)!;
      assert.equal(await memory.store?.(), false);
      new Float32Array(memory.buffer).fill(1);
      memory.giveBack();
      assert.ok(new Float32Array(memory.buffer).every((value) => value === 0));
    }
  });

  test("numbers that are forgotten are zeros, and their memory is a file's once room is short", async () => {
    let numOpened = 0;
    const pages = new FilePages(async () => {
      numOpened++;
      return await open();
    });
    const memory = new ShardMemory(2 * BYTES, shards, { reserve: (spec) => pages.reserve(spec.sizeBytes) });
    const make = (name: string): Float32Array =>
      memory.make({ name, sizeBytes: BYTES }, (buffer) => new Float32Array(buffer, 0, LENGTH));
    const [a, b, c] = [make("a"), make("b"), make("c")];
    const fill = (vector: Float32Array, value: number): Promise<void> =>
      whileHeld(memory, [vector], "change", () => void vector.fill(value));
    const numFiles: number[] = [];
    for (const others of [[b], [b, c], [b, c]]) {
      await fill(a, 1);
      memory.discard([a]);
      // At once, while it may be on its way to a file.
      await whileHeld(memory, [a], "read", () => assert.ok(a.every((value) => value === 0)));
      await fill(a, 1);
      memory.discard([a]);
      for (const [i, vector] of others.entries()) await fill(vector, 2 + i);
      await whileHeld(memory, [a], "read", () => assert.ok(a.every((value) => value === 0)));
      numFiles.push(numOpened);
    }
    await whileHeld(memory, [b], "read", () => assert.ok(b.every((value) => value === 2)));
    await whileHeld(memory, [c], "read", () => assert.ok(c.every((value) => value === 3)));
    assert.deepEqual(numFiles[0], 0);
    assert.equal(numOpened, 3);
    await pages.close();
  });

  test("a write that fails is told, loses nothing and may go well the next time", async () => {
    let isFull = true;
    const pages = new FilePages(async () => {
      const file = (await open())!;
      const write = async (bytes: Uint8Array): Promise<void> => {
        if (isFull) throw new Error("the disk is full");
        await file.write(bytes);
      };
      return { descriptor: file.descriptor, path: file.path, write, close: () => file.close() };
    });
    const memory = pages.reserve(BYTES)!;
    const values = new Float32Array(memory.buffer).fill(3);
    await assert.rejects(async () => await memory.store?.(), /the disk is full/);
    isFull = false;
    await memory.store?.();
    memory.giveBack();
    await memory.take();
    assert.ok(values.every((value) => value === 3));
    await pages.close();
  });

  test("memory that goes and comes many times leaves nothing on the heap", async () => {
    const collect = findCollector()!;
    const pages = new FilePages(open);
    const memory = pages.reserve(PAGE_BYTES)!;
    await memory.store?.();
    memory.giveBack();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 10_000; i++) await memory.take();
    collect();
    assert.ok(process.memoryUsage().heapUsed - before < 500_000);
    await pages.close();
  });

  test("pages that the disk does not give are an error", async () => {
    const pages = new FilePages(async () => {
      const file = (await open())!;
      // Nothing is written, so the file ends before them.
      return {
        descriptor: file.descriptor,
        path: "a.unnamed",
        write: async () => {},
        close: () => file.close(),
      };
    });
    const memory = pages.reserve(BYTES)!;
    await memory.store?.();
    memory.giveBack();
    await assert.rejects(async () => await memory.take(), {
      code: "failed/write",
      message: /what is stored in "a.unnamed"/,
      hint: /--resume/,
    });
    await pages.close();
  });
});

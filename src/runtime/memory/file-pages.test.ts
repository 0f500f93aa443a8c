/** @file Pages of a file: numbers come again after the memory has gone, the disk is asked for room first, and the file ends with the run. */
import assert from "node:assert/strict";
import { fstatSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { FilePages, canBringPages } from "./file-pages.ts";
import { PAGE_BYTES } from "./large-pages.ts";
import { openPageFile } from "../../../test/files/open-page-file.ts";
import { residentBytes } from "../../../test/process/resident-bytes.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";

const LENGTH = 5 * 2 ** 20;
const BYTES = 4 * LENGTH;

describe("pages of a file", { skip: !canBringPages() }, () => {
  test("memory goes and comes with its numbers, zeros at first, and no file has a name", async () => {
    const folder = temporaryFolder();
    const file = await openPageFile(folder);
    const pages = new FilePages(file);
    const [one, other] = [pages.reserve(BYTES)!, pages.reserve(BYTES)!];
    assert.deepEqual(readdirSync(`${folder}/shards`), []);
    const [a, b] = [new Float32Array(one.buffer), new Float32Array(other.buffer)];
    await one.take();
    assert.ok(a.every((value) => value === 0));
    a.fill(1);
    const there = residentBytes();
    one.giveBack();
    assert.ok(there - residentBytes() > 0.9 * BYTES);
    await other.take();
    b.fill(2);
    await one.take();
    assert.ok(a.every((value) => value === 1) && b.every((value) => value === 2));
    // Room on the disk is asked for when memory is first taken, and what is used is no more.
    assert.equal(fstatSync(file.descriptor).size, 2 * BYTES);
    await pages.close();
    assert.ok(a.every((value) => value === 0) && b.every((value) => value === 0));
  });

  test("what is less than a page lies elsewhere, and so does all where the file cannot be mapped", async () => {
    const file = await openPageFile(temporaryFolder());
    assert.equal(new FilePages(file).reserve(PAGE_BYTES - 1), null);
    assert.equal(new FilePages({ ...file, descriptor: -1 }).reserve(BYTES), null);
  });

  test("a disk without room is told of before anything is touched, and may have room later", async () => {
    const file = await openPageFile(temporaryFolder());
    let isFull = true;
    const writeZeros = async (start: number, sizeBytes: number): Promise<void> => {
      if (isFull) throw new Error("the disk is full");
      await file.writeZeros(start, sizeBytes);
    };
    const pages = new FilePages({ ...file, writeZeros });
    const memory = pages.reserve(BYTES)!;
    await assert.rejects(async () => await memory.take(), /the disk is full/);
    isFull = false;
    await memory.take();
    new Float32Array(memory.buffer).fill(3);
    await pages.close();
  });

  test("pages that the disk does not give are an error", async () => {
    const file = await openPageFile(temporaryFolder());
    // Nothing was written, so the file ends before them.
    const pages = new FilePages({ ...file, writeZeros: async () => {} });
    await assert.rejects(async () => await pages.reserve(BYTES)!.take(), { code: "EIO" });
    await pages.close();
  });
});

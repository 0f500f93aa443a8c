/** @file Mapped files: contents, writes that stay here, sizes, and that the mapping ends with its last view. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findCollector } from "./find-collector.ts";
import { mapFile } from "./mapped-file.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-map-"));
after(() => rmSync(folder, { recursive: true }));

function map(path: string): ArrayBuffer | null {
  const descriptor = openSync(path, "r");
  const buffer = mapFile(descriptor);
  closeSync(descriptor);
  return buffer;
}

/** Whether the process has a mapping of a file, where the system tells. */
function isMapped(path: string): boolean {
  return readFileSync("/proc/self/maps", "utf8").includes(path);
}

test("mapFile() shows the contents, and writes do not reach the file", () => {
  const path = join(folder, "numbers");
  writeFileSync(path, new Uint8Array(Float32Array.of(1, 2, 3).buffer));
  const buffer = map(path);
  if (buffer === null) return assert.equal(process.platform, "win32");
  const values = new Float32Array(buffer);
  assert.deepEqual([...values], [1, 2, 3]);
  values[1] = 7;
  assert.deepEqual([...new Float32Array(buffer)], [1, 7, 3]);
  assert.deepEqual([...new Float32Array(new Uint8Array(readFileSync(path)).buffer)], [1, 2, 3]);
});

test("an empty file has no bytes, a folder is none", () => {
  const path = join(folder, "empty");
  writeFileSync(path, "");
  assert.equal(map(path)?.byteLength ?? 0, 0);
  if (process.platform !== "win32") assert.equal(map(folder), null);
});

test("a file larger than memory is mapped as a whole", { skip: process.platform !== "linux" }, () => {
  const path = join(folder, "large");
  writeFileSync(path, "");
  const sizeBytes = 6 * 2 ** 30;
  truncateSync(path, sizeBytes);
  const buffer = map(path);
  assert.equal(buffer?.byteLength, sizeBytes);
  assert.equal(new Uint8Array(buffer ?? new ArrayBuffer(), sizeBytes - 1)[0], 0);
});

test(
  "the mapping stays with its last view, ends after it, and cannot be handed on",
  {
    skip: process.platform !== "linux",
  },
  async () => {
    const collectAll = findCollector()!;
    const collect = async (): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        collectAll();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const path = join(folder, "collected");
    writeFileSync(path, new Uint8Array(8192).fill(5));
    const lastByte = await (async () => {
      const view = new Uint8Array(map(path)!, 4096);
      await collect();
      assert.ok(isMapped(path));
      const buffer = view.buffer;
      assert.throws(() => structuredClone(buffer, { transfer: [buffer] }));
      assert.throws(() => buffer.transfer(), TypeError);
      return view[4095];
    })();
    assert.equal(lastByte, 5);
    await collect();
    assert.ok(!isMapped(path));
  },
);

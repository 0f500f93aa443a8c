import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Folder, readJson, readJsonIfPresent } from "./folder.ts";
import { memoryFolder } from "./memory-folder.ts";
import { nodeFolder } from "./node-folder.ts";

const root = mkdtempSync(join(tmpdir(), "graft-folder-"));
after(() => rmSync(root, { recursive: true }));

const FILES = { "b.bin": new Uint8Array([1, 2, 3, 4, 5]), "a.json": '{"ä": 1}', "broken.json": "{" };

function onDisk(): Folder {
  const path = join(root, "folder");
  mkdirSync(path);
  for (const [name, contents] of Object.entries(FILES)) writeFileSync(join(path, name), contents);
  return nodeFolder(path);
}

const FOLDERS: Readonly<Record<string, Folder>> = {
  "of the disk": onDisk(),
  "in memory": memoryFolder("memory", FILES),
  "of blobs": memoryFolder(
    "blobs",
    Object.fromEntries(Object.entries(FILES).map(([name, contents]) => [name, new Blob([contents])])),
  ),
};

for (const [what, folder] of Object.entries(FOLDERS)) {
  describe(`a folder ${what}`, () => {
    test("lists its names in order", async () => {
      assert.deepEqual(await folder.names(), ["a.json", "b.bin", "broken.json"]);
    });

    test("reads bytes from any place, each time into memory of their own", async () => {
      const source = await folder.open("b.bin");
      assert.equal(source.sizeBytes, 5);
      const bytes = await source.read(1, 3);
      assert.deepEqual([...bytes], [2, 3, 4]);
      assert.equal(bytes.byteOffset, 0);
      bytes[0] = 9;
      const into = new Uint8Array(7);
      await source.readInto(0, into.subarray(1, 6));
      assert.deepEqual([...into], [0, 1, 2, 3, 4, 5, 0]);
      await source.close();
    });

    test("refuses to read past the end, naming the file", async () => {
      const source = await folder.open("b.bin");
      const refusal = { code: "format/file", message: /b\.bin": 5 bytes, expected at least 6/ };
      await assert.rejects(source.read(3, 3), refusal);
      await assert.rejects(source.readInto(3, new Uint8Array(3)), refusal);
      await source.close();
    });

    test("reads text and JSON, and says what is missing or broken", async () => {
      assert.equal(await folder.text("a.json"), '{"ä": 1}');
      assert.equal(await folder.text("none"), null);
      assert.deepEqual(await readJson(folder, "a.json"), { ä: 1 });
      assert.equal(await readJsonIfPresent(folder, "none.json"), null);
      const missing = { code: "format/file", message: /none(\.json)?": no such file/ };
      await assert.rejects(readJson(folder, "none.json"), missing);
      await assert.rejects(folder.open("none"), missing);
      await assert.rejects(readJson(folder, "broken.json"), { code: "format/json", message: /broken\.json/ });
    });
  });
}

test("a folder in memory has no names but its own", async () => {
  const folder = memoryFolder("memory", {});
  assert.equal(await folder.text("constructor"), null);
  await assert.rejects(folder.open("toString"), { code: "format/file" });
});

test("a folder of the disk that is none says so", async () => {
  await assert.rejects(nodeFolder(join(root, "none")).names(), {
    code: "format/file",
    message: /no such file/,
  });
  await assert.rejects(nodeFolder(root).text("folder"), { code: "format/file", message: /it is a folder/ });
});

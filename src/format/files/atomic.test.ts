import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { FailedError, type GraftError } from "../../errors.ts";
import { writeFileAtomic, writeFolderAtomic, writeTextAtomic } from "./atomic.ts";
import type { ByteSource } from "./byte-source.ts";
import { textFile, unlikeWritten } from "./folder-file.ts";
import { toFailedWrite } from "../../messages/system-error.ts";

const root = mkdtempSync(join(tmpdir(), "graft-atomic-"));
after(() => rmSync(root, { recursive: true }));

/** Makes a fresh folder. */
const folder = (name: string): string => {
  mkdirSync(join(root, name));
  return join(root, name);
};
const failing = {
  name: "b",
  fill: async () => {
    throw new Error("no data");
  },
  check: async () => {},
};

test("writeFileAtomic() writes all pieces in order, makes folders and leaves no temporary file", async () => {
  const path = join(root, "new", "deep", "file");
  await writeFileAtomic(path, {
    ...failing,
    fill: async (write) => {
      await write(new Uint8Array([1, 2]));
      await write(new Uint8Array([3]));
    },
  });
  assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
  assert.deepEqual(readdirSync(join(root, "new", "deep")), ["file"]);
});

test("writeTextAtomic() replaces a file", async () => {
  const path = join(folder("replace"), "file");
  await writeTextAtomic(path, "old and longer");
  await writeTextAtomic(path, "néw");
  assert.equal(readFileSync(path, "utf8"), "néw");
});

test("writeFileAtomic() keeps the old file and removes its own when the data fails", async () => {
  const path = join(folder("kept"), "file");
  writeFileSync(path, "old");
  await assert.rejects(
    writeFileAtomic(path, {
      ...failing,
      fill: async (write) => {
        await write(new Uint8Array(100));
        throw new Error("no more data");
      },
    }),
    { message: "no more data" },
  );
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.deepEqual(readdirSync(join(root, "kept")), ["file"]);
});

test("writeFileAtomic() removes the folders it made when the data fails", async () => {
  await assert.rejects(writeFileAtomic(join(root, "gone", "deep", "file"), failing), /no data/);
  assert.ok(!readdirSync(root).includes("gone"));
});

test("writing below a file fails with failed/write, the path and a remedy", async () => {
  const file = join(folder("below"), "file");
  writeFileSync(file, "");
  for (const write of [
    () => writeTextAtomic(join(file, "x", "out.json"), "{}"),
    () => writeFolderAtomic(join(file, "x", "adapter"), [textFile("a", "")]),
    () => writeFolderAtomic(file, [textFile("a", "")]),
  ]) {
    await assert.rejects(write, (error: unknown) => {
      assert.ok(error instanceof FailedError);
      assert.equal(error.code, "failed/write");
      assert.ok(error.message.includes(file), error.message);
      assert.match(error.message, /^Cannot write file ".+": (ENOTDIR|EEXIST), expected a writable place$/);
      assert.match(error.hint ?? "", /choose another/);
      return true;
    });
  }
  assert.deepEqual(readdirSync(join(root, "below")), ["file"]);
});

test("writing over a folder fails with failed/write and leaves the folder", async () => {
  const path = folder("occupied");
  mkdirSync(join(path, "out"));
  await assert.rejects(writeTextAtomic(join(path, "out"), "x"), { code: "failed/write" });
  assert.deepEqual(readdirSync(path), ["out"]);
});

test("toFailedWrite() has a remedy for each way a disk says no, and passes other errors", () => {
  for (const [code, remedy] of [
    ["ENOSPC", /Free some space/],
    ["EFBIG", /limit of the file system or of ulimit -f/],
    ["EACCES", /that you have permission to write to/],
    ["EROFS", /read-only/],
    ["EWHAT", /another output folder/],
  ] as const) {
    const cause = Object.assign(new Error(code), { code, syscall: "write" });
    const error = toFailedWrite(cause, "out/x");
    assert.ok(error instanceof FailedError);
    assert.equal(error.message, `Cannot write file "out/x": ${code}, expected a writable place`);
    assert.match(error.hint ?? "", remedy);
    assert.equal(error.cause, cause);
  }
  const other = new Error("no data");
  assert.equal(toFailedWrite(other, "x"), other);
});

test("writeFolderAtomic() makes a new folder, or replaces its own files in one that has others", async () => {
  const path = join(root, "made", "folder");
  await writeFolderAtomic(path, [textFile("a", "1"), textFile("b", "2")]);
  writeFileSync(join(path, "other"), "kept");
  await writeFolderAtomic(path, [textFile("b", "3"), textFile("c", "4")]);
  const found = readdirSync(path).map((name) => [name, readFileSync(join(path, name), "utf8")]);
  assert.deepEqual(found, [
    ["a", "1"],
    ["b", "3"],
    ["c", "4"],
    ["other", "kept"],
  ]);
  assert.deepEqual(readdirSync(join(root, "made")), ["folder"]);
});

test("writeFolderAtomic() writes nothing when the data of one file fails", async () => {
  await assert.rejects(writeFolderAtomic(join(root, "none", "x"), [textFile("a", "1"), failing]), /no data/);
  assert.ok(!readdirSync(root).includes("none"));

  const path = folder("untouched");
  writeFileSync(join(path, "a"), "old");
  await assert.rejects(writeFolderAtomic(path, [textFile("a", "1"), failing]), /no data/);
  assert.deepEqual(readdirSync(path), ["a"]);
  assert.equal(readFileSync(join(path, "a"), "utf8"), "old");
});

test("writeFolderAtomic() puts the old files back when a later one cannot be replaced", async () => {
  const path = folder("rollback");
  writeFileSync(join(path, "a"), "old");
  mkdirSync(join(path, "c"));
  const files = [textFile("a", "1"), textFile("b", "2"), textFile("c", "3")];
  await assert.rejects(writeFolderAtomic(path, files), { code: "failed/write" });
  assert.deepEqual(readdirSync(path), ["a", "c"]);
  assert.equal(readFileSync(join(path, "a"), "utf8"), "old");
});

test("what reads back as something else replaces nothing, a file or a folder", async () => {
  const path = folder("unlike");
  writeFileSync(join(path, "file"), "old");
  const content = {
    ...textFile("file", "new"),
    check: async (file: ByteSource) => {
      assert.equal(new TextDecoder().decode(await file.read(0, file.sizeBytes)), "new");
      throw unlikeWritten(file.path, "other text");
    },
  };
  for (const write of [
    () => writeFileAtomic(join(path, "file"), content),
    () => writeFolderAtomic(path, [content]),
    () => writeFolderAtomic(join(path, "fresh"), [content]),
  ]) {
    await assert.rejects(write, { code: "format/file", message: /reads back with other text/ });
    assert.deepEqual(readdirSync(path), ["file"]);
    assert.equal(readFileSync(join(path, "file"), "utf8"), "old");
  }
});

test("a folder's last file can be made of the names, sizes and hashes of the others", async () => {
  const path = join(root, "sealed");
  await writeFolderAtomic(path, [textFile("a", "abc")], {
    seal: (written) => textFile("list", JSON.stringify(written)),
  });
  assert.deepEqual(JSON.parse(readFileSync(join(path, "list"), "utf8")), [
    {
      name: "a",
      sizeBytes: 3,
      sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    },
  ]);
});

for (const [isThere, isNew] of [
  [true, true],
  [false, true],
  [false, false],
] as const) {
  const what = `${isThere ? "an empty" : "a new"} one${isNew ? "" : " that need not be new"}`;
  test(`of two that fill one folder at once, ${what}, one is refused and the other whole`, async () => {
    const path = join(root, `contested-${isThere}-${isNew}`);
    if (isThere) mkdirSync(path);
    let numBegun = 0;
    let go: () => void = () => {};
    const allBegan = new Promise<void>((resolve) => (go = resolve));
    const write = (...names: string[]): Promise<void> => {
      const first = {
        ...textFile("both", names.join()),
        fill: async (write: (bytes: Uint8Array) => Promise<void>) => {
          if (++numBegun === 2) go();
          await allBegan;
          await write(new TextEncoder().encode(names.join()));
        },
      };
      return writeFolderAtomic(path, [first, ...names.map((name) => textFile(name, name))], { isNew });
    };
    const ends = await Promise.allSettled([write("a", "b"), write("c")]);
    const refused = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as GraftError] : []));
    assert.deepEqual(
      refused.map(({ code }) => code),
      ["usage/output"],
    );
    const written = readFileSync(join(path, "both"), "utf8");
    assert.deepEqual(readdirSync(path), [...written.split(","), "both"].sort());
    await assert.rejects(writeFolderAtomic(path, [textFile("d", "d")], { isNew: true }), {
      code: "usage/output",
    });
    assert.ok(!readdirSync(root).some((name) => name.endsWith(".tmp")));
  });
}

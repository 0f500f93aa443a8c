import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import type { ReadingProgress, ReadOptions } from "./read-files.ts";
import { readDatasets } from "../by-path.ts";
import type { DataKindName } from "../examples/data-kinds.ts";
import type { Example } from "../examples/example.ts";
import { makeTextTools } from "../chat/text-tools.ts";
import { readInThread } from "./read-in-thread.ts";
import type { UnitJob } from "./unit-worker.ts";
import { readCached, writeCached } from "./unit-cache.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-thread-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const tools = makeTextTools({ files: byteTokenizerFiles(), now: new Date(0) });
const inProcess = { tokenizer: tools.tokenizer, template: tools.template, maxLength: 40 };
let numCaches = 0;
const newCache = (): string => join(folder, `cache-${numCaches++}`);

function write(name: string, rows: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

/** Reads in a thread, and what was told meanwhile. */
async function readLarge(
  path: string,
  more: Partial<ReadOptions<DataKindName>> = {},
): Promise<{ set: Awaited<ReturnType<typeof readDatasets<DataKindName>>>[number]; told: ReadingProgress[] }> {
  const told: ReadingProgress[] = [];
  const onProgress = (progress: ReadingProgress): void => void told.push(progress);
  const how = { ...inProcess, origin: tools.origin, largeBytes: 1, cacheFolder: null, onProgress, ...more };
  const [set] = await readDatasets<DataKindName>([path], how);
  return { set: set!, told };
}

function digest(set: Awaited<ReturnType<typeof readDatasets<DataKindName>>>[number]): string {
  const hash = createHash("sha256").update(JSON.stringify(set.reports));
  for (const unit of set.train as Example[])
    hash.update(unit.ids).update(unit.weights).update(JSON.stringify(unit.source));
  return hash.digest("hex");
}

const chat = (i: number): unknown => ({
  messages: [
    { role: "user", content: `q${i}` },
    { role: "assistant", content: "a".repeat(i % 50), weight: i % 3 },
  ],
});
const CASES: Readonly<Record<DataKindName, (i: number) => unknown>> = {
  text: chat,
  preference: (i) => ({ prompt: "p".repeat(i % 30), chosen: `c${i}`, rejected: `r${i}` }),
  unpaired: (i) => ({ prompt: "p", completion: `c${i}`, label: i % 2 === 0 }),
  classes: (i) => ({ text: `t${i}`, label: i % 2 }),
  labels: (i) => ({ text: `t${i}`, label: i % 3 === 0 ? [] : ["yes"] }),
  numbers: (i) => ({ text: `t${i}`, label: [i / 7, -i] }),
};

describe("reading in a thread", () => {
  test("what is read here is stopped between rows", async () => {
    const row = { text: "word ".repeat(200) };
    const path = write(
      "stopped.jsonl",
      Array.from({ length: 2000 }, () => row),
    );
    const stop = new AbortController();
    const reason = new Error("stopped");
    setImmediate(() => stop.abort(reason));
    await assert.rejects(readDatasets([path], { ...inProcess, signal: stop.signal }), reason);
  });

  for (const kind of Object.keys(CASES) as DataKindName[]) {
    test(`gives the same examples and counts (${kind})`, async () => {
      const path = write(
        `${kind}.jsonl`,
        Array.from({ length: 60 }, (_, i) => CASES[kind](i)),
      );
      const classes = { names: ["no", "yes"], readAt: "last" as const };
      const how = { kind, classes, skipFaulty: true };
      const [here] = await readDatasets<DataKindName>([path], { ...inProcess, ...how });
      const { set } = await readLarge(path, how);
      assert.ok(here!.train.length > 30);
      assert.deepEqual(set, here);
      const cacheFolder = newCache();
      const first = await readLarge(path, { ...how, cacheFolder });
      const { set: cached } = await readLarge(path, { ...how, cacheFolder });
      assert.deepEqual(first.set, here);
      assert.deepEqual(cached, here);
    });
  }

  test("gives the same examples where they come in pieces, and once more from the cache", async () => {
    const path = join(folder, "long.txt");
    // More tokens than a piece has.
    writeFileSync(path, "one two three four\n".repeat(30_000));
    const [here] = await readDatasets<DataKindName>([path], inProcess);
    const cacheFolder = newCache();
    for (const isCached of [false, true]) {
      const { set } = await readLarge(path, { cacheFolder });
      const numPieces = new Set(set.train.map((unit) => (unit as Example).ids.buffer)).size;
      assert.ok(isCached || numPieces > 1, `${numPieces} pieces`);
      // Equal without a look at each of a million numbers by itself.
      assert.equal(digest(set), digest(here!));
    }
  });

  test("tells faulty rows as reading here does", async () => {
    const path = write("faulty.jsonl", [chat(4), { b: 1 }, { b: 2 }]);
    const message = await readDatasets([path], inProcess).catch((error: Error) => error.message);
    await assert.rejects(readLarge(path), { code: "usage/data", message });
    await assert.rejects(readLarge(write("wide.json", [])), { code: "format/json" });
  });

  test("tells what is wrong with graft itself as it is, and not as a lack of memory", async () => {
    const content = { bytes: new Uint8Array(0) } as UnitJob["content"];
    const job = { content, origin: null as never, options: { maxLength: 40 } };
    await assert.rejects(readInThread(job, {}), TypeError);
  });

  test("tells how far it is, and stops when it is told to", async () => {
    const path = write(
      "long.jsonl",
      Array.from({ length: 4000 }, () => chat(4)),
    );
    const { told } = await readLarge(path);
    assert.ok(told.length > 0);
    for (const { file, numRows, totalRows } of told) {
      assert.equal(file, path);
      assert.equal(totalRows, 4000);
      assert.ok(numRows > 0 && numRows <= 4000);
    }
    assert.equal(told.at(-1)?.numRows, 4000);
    const stop = new AbortController();
    const reason = new Error("enough");
    const cacheFolder = newCache();
    await assert.rejects(
      readLarge(path, { cacheFolder, signal: stop.signal, onProgress: () => stop.abort(reason) }),
      (error) => error === reason,
    );
    const fail = (): never => {
      throw reason;
    };
    await assert.rejects(readLarge(path, { cacheFolder, onProgress: fail }), reason);
    assert.throws(() => readdirSync(cacheFolder), { code: "ENOENT" });
  });
});

describe("the cache of large data", () => {
  const path = write(
    "cached.jsonl",
    Array.from({ length: 20 }, (_, i) => chat(3 * i + 1)),
  );
  const entries = (cacheFolder: string): string[] => readdirSync(cacheFolder).toSorted();

  test("has an entry for each content and way of reading, under any name", async () => {
    const cacheFolder = newCache();
    await readLarge(path, { cacheFolder });
    await readLarge(path, { cacheFolder });
    const copy = join(folder, "copy.jsonl");
    writeFileSync(copy, readFileSync(path));
    const { set } = await readLarge(copy, { cacheFolder });
    assert.equal(entries(cacheFolder).length, 1);
    assert.equal(set.train[0]?.source.file, copy);
    await readLarge(path, { cacheFolder, maxLength: 30 });
    await readLarge(path, { cacheFolder, trainOn: "all" });
    const files = byteTokenizerFiles();
    const other = { ...files, config: { ...files.config, chat_template: "{{ messages[1].content }}" } };
    await readLarge(path, { cacheFolder, origin: { files: other, now: new Date(0) } });
    assert.equal(entries(cacheFolder).length, 4);
  });

  test("makes a damaged entry anew", async () => {
    const cacheFolder = newCache();
    const { set } = await readLarge(path, { cacheFolder });
    const [name] = entries(cacheFolder);
    const entry = join(cacheFolder, name!);
    const whole = readFileSync(entry);
    for (const damaged of [
      whole.with(whole.length >> 1, whole[whole.length >> 1]! ^ 1),
      whole.subarray(0, -9),
      "",
    ]) {
      writeFileSync(entry, damaged);
      assert.deepEqual((await readLarge(path, { cacheFolder })).set, set);
      assert.deepEqual(readFileSync(entry), whole);
    }
  });

  test("drops what was not used for the longest beyond its limit", async () => {
    const cacheFolder = newCache();
    await readLarge(path, { cacheFolder });
    const [key] = entries(cacheFolder).map((name) => name.replace(/\.units$/, ""));
    const units = (await readCached(cacheFolder, key!))!;
    const { length } = readFileSync(join(cacheFolder, `${key}.units`));
    utimesSync(join(cacheFolder, `${key}.units`), 1, 1);
    await writeCached(cacheFolder, "b", units, 2.5 * length);
    utimesSync(join(cacheFolder, "b.units"), 2, 2);
    assert.equal(entries(cacheFolder).length, 2);
    await writeCached(cacheFolder, "c", units, 2.5 * length);
    assert.deepEqual(entries(cacheFolder), ["b.units", "c.units"]);
    // Neither what is larger than the cache nor what could not be read again.
    const packed = [{ ids: new Uint8Array(2 ** 31) }] as unknown as typeof units.packed;
    await writeCached(cacheFolder, "d", { ...units, packed });
    await writeCached(cacheFolder, "d", units, 10);
    assert.deepEqual(entries(cacheFolder), ["b.units", "c.units"]);
  });
});

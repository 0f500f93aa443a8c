/** @file Pages that were decompressed for a check are not decompressed again, and never mixed up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keepPages } from "./kept-pages.ts";

/** Repeats each byte, and counts how often it is asked. */
function doubling() {
  const asked: string[] = [];
  const decompress = (input: Uint8Array, length: number): Uint8Array => {
    asked.push(input.join());
    return Uint8Array.from({ length }, (_, i) => input[i >> 1]!);
  };
  return { asked, compressors: { ZSTD: decompress } };
}

const PAGES = [Uint8Array.of(1, 2), Uint8Array.of(1, 3), Uint8Array.of(1, 2), Uint8Array.of(7)];

test("each page is decompressed once, whatever the order in which it is read; others when they are asked for", () => {
  const { asked, compressors } = doubling();
  const { check, read } = keepPages(compressors);
  for (const page of PAGES) check.ZSTD!(page, page.length * 2);
  assert.equal(asked.length, PAGES.length);
  for (const page of PAGES.toReversed()) {
    const found = read.ZSTD!(Uint8Array.from(page), page.length * 2);
    assert.deepEqual(
      [...found],
      [...page].flatMap((byte) => [byte, byte]),
    );
  }
  assert.equal(asked.length, PAGES.length);
  const dictionary = Uint8Array.of(9, 8);
  for (const bytes of [dictionary, PAGES[0]!]) read.ZSTD!(bytes, 4);
  assert.deepEqual(asked.slice(PAGES.length), ["9,8", "1,2"]);
});

test("what does not fit into the memory for pages is decompressed again", () => {
  const { asked, compressors } = doubling();
  const { check, read } = keepPages({
    ZSTD: (input) => compressors.ZSTD(input, 0) && new Uint8Array(1 << 26),
  });
  const pages = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
  for (const page of pages) check.ZSTD!(page, 1 << 26);
  for (const page of pages) read.ZSTD!(page, 1 << 26);
  assert.deepEqual(asked, ["1", "2", "3", "3"]);
});

test("of many pages of one size few are looked at for each, in whatever order they are read", () => {
  const { check, read } = keepPages({ ZSTD: (_, length) => new Uint8Array(length) });
  let numLooks = 0;
  const get = (page: Uint8Array, key: string): unknown => {
    numLooks++;
    return Reflect.get(page, key);
  };
  const pages = Array.from({ length: 1000 }, (_, i) => Uint8Array.of(i >> 8, i));
  for (const page of pages) check.ZSTD!(new Proxy(page, { get }), 4);
  numLooks = 0;
  for (const page of pages.toReversed()) read.ZSTD!(page, 4);
  assert.ok(numLooks > 0 && numLooks < 200 * pages.length, `${numLooks} looks`);
});

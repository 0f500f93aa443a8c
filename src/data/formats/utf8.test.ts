import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { countLineEnds, decodeLines, decodeUtf8 } from "./utf8.ts";

function utf16(text: string, isBig: boolean): Uint8Array {
  const bytes = Buffer.from(text, "utf16le");
  return isBig ? bytes.swap16() : bytes;
}

describe("decodeUtf8()", () => {
  test("gives the text of UTF-8, without its mark", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        fc.pre(!text.startsWith("\uFEFF") && !text.includes("\0"));
        assert.equal(decodeUtf8(new TextEncoder().encode(text), "x"), text);
      }),
    );
    assert.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), "x"), "a");
  });

  test("names the first byte that is not UTF-8", () => {
    for (const [bytes, at] of [
      [Buffer.from("caf\xe9, na\xefve", "latin1"), 3],
      [Buffer.concat([Buffer.from("é".repeat(50_000)), Buffer.from([0xff])]), 100_000],
      [Buffer.concat([Buffer.from("a".repeat(65_535)), Buffer.from([0xe9, 0x20])]), 65_535],
      [Buffer.concat([Buffer.from("€".repeat(40_000)), Buffer.from([0xe2, 0x82])]), 120_000],
      [Buffer.from([0x61, 0xc0, 0x80]), 1],
      [Buffer.from([0x61, 0x62, 0xed, 0xa0, 0x80]), 2],
      [Buffer.from([0x80]), 0],
    ] as const) {
      assert.throws(() => decodeUtf8(bytes, "a.txt"), {
        code: "format/file",
        message: `Cannot read data set "a.txt": not UTF-8 at byte ${at}, expected UTF-8`,
        hint: /iconv -f WINDOWS-1252 -t UTF-8/,
      });
    }
  });

  test("says of what is no text under the name of a text that it is none", () => {
    const sheet = Buffer.concat([Buffer.from("PK\u0003\u0004\u0014\0\b\b\b\0"), Buffer.alloc(200, 0x99)]);
    assert.throws(() => decodeUtf8(sheet, "sheet.csv"), {
      code: "format/file",
      message: 'Cannot read data set "sheet.csv": it is not text, expected UTF-8',
      hint: /export it as text from the program that made it/,
    });
  });

  test("says of text that JavaScript cannot hold that it is too long, not that it is wrong", () => {
    assert.throws(() => decodeUtf8(new Uint8Array(2 ** 29).fill(0x61), "a.txt"), {
      code: "format/file",
      message: /"a.txt": 536870912 bytes of text, expected at most half a gigabyte/,
    });
  });

  test("tells UTF-16 by its mark or its zeros", () => {
    for (const isBig of [false, true]) {
      for (const text of ["\uFEFFabc", '{"text": "hello"}\n', '{"text": "привет, мир"}\n{"text": "ещё"}\n']) {
        assert.throws(() => decodeUtf8(utf16(text, isBig), "a.csv"), {
          code: "format/file",
          message: `Cannot read data set "a.csv": it is UTF-16${isBig ? "BE" : "LE"}, not UTF-8, expected UTF-8`,
          hint: /iconv -f UTF-16.. -t UTF-8/,
        });
      }
    }
    assert.equal(decodeUtf8(new TextEncoder().encode("a\0b\n"), "a.txt"), "a\0b\n");
  });
});

describe("decodeLines()", () => {
  const line = `${"é€😀\uFEFF".repeat(1000)}\n`;
  // Three megabytes, in which a mark of byte order begins lines: only the file's first is none of its text.
  const text = `\uFEFF${`\uFEFF${line}`.repeat(260)}last`;
  const bytes = new TextEncoder().encode(text);

  test("gives the whole text in pieces that end where lines end", () => {
    const pieces = [...decodeLines(bytes, "x")];
    assert.ok(pieces.length > 2, `${pieces.length} pieces`);
    assert.equal(pieces.join(""), text.slice(1));
    for (const piece of pieces.slice(0, -1)) assert.ok(piece.endsWith("\n"));
    assert.equal(countLineEnds(bytes), 260);
    assert.deepEqual([...decodeLines(new Uint8Array(), "x")], []);
  });

  test("refuses what decodeUtf8() refuses, with the same message", () => {
    const late = bytes.with(bytes.length - 100, 0x0a).with(bytes.length - 2, 0xff);
    for (const wrong of [late, utf16("abc\n", false), Uint8Array.of(0xe2, 0x82)]) {
      const { message } = ((): Error => {
        try {
          decodeUtf8(wrong, "x");
        } catch (error) {
          return error as Error;
        }
        return new Error("not refused");
      })();
      assert.throws(() => [...decodeLines(wrong, "x")], { code: "format/file", message });
    }
  });
});

/** @file What would act on a terminal is escaped, in messages, on both streams and in JSON. */
import assert from "node:assert/strict";
import test from "node:test";
import { FormatError } from "./errors.ts";
import { printable, printableInColor, printableJson, readable } from "./printable.ts";

/** Erases, sets a title, goes back, turns round, hides; C1's own ways to the same. */
const HOSTILE =
  "a\u001B[2Jb\u001B]0;title\u0007c\rd\u009B2Je\u202Ef\u2066g\u200Bh\uFEFFi\uD800j\u{E0041}k\u0000l\u007F";

test("printable() leaves nothing that a terminal acts on, and every language as it is", () => {
  const shown = printable(HOSTILE);
  assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}]/u);
  assert.equal(printable("a\u001B[2Jb\u202E"), "a\\u{1b}[2Jb\\u{202e}");
  const plain = "naïve 你好 😀 עברית עַרَبي\n\ttext";
  assert.equal(printable(plain), plain);
});

test("printableInColor() keeps colours, and nothing else that a terminal acts on", () => {
  const text = "\u001B[31mred\u001B[39m \u001B[2J";
  assert.equal(printableInColor(text), "\u001B[31mred\u001B[39m \\u{1b}[2J");
  assert.equal(printable(text), "\\u{1b}[31mred\\u{1b}[39m \\u{1b}[2J");
});

test("printableJson() means the same", () => {
  const json = printableJson(JSON.stringify({ [HOSTILE]: HOSTILE }));
  assert.doesNotMatch(json, /[\p{Cc}\p{Cf}\p{Cs}]/u);
  assert.deepEqual(JSON.parse(json), { [HOSTILE]: HOSTILE });
});

test("an error's message and hint can be read on a terminal, to the end", () => {
  const error = new FormatError(
    "format/file",
    `Cannot read "${HOSTILE}${"x".repeat(70_000)}": found, expected it`,
    {
      hint: HOSTILE,
    },
  );
  assert.ok(error.message.length < 4500);
  assert.match(
    error.message,
    /^Cannot read "a\\u\{1b\}\[2Jb.* … \(\d+ characters\) … x+": found, expected it$/,
  );
  for (const text of [error.message, error.hint!]) assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Cs}]/u);
  const short = 'Cannot read "näme": found, expected it';
  assert.equal(readable(short), short);
});

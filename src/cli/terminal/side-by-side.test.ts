import assert from "node:assert/strict";
import { test } from "node:test";
import colors from "picocolors";
import { sideBySide } from "./side-by-side.ts";
import { wrap } from "./wrap.ts";

test("wrap() breaks at spaces, cuts words that are too long, and keeps line breaks", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
  assert.deepEqual(wrap("a\n\nb", 9), ["a", "", "b"]);
});

test("sideBySide() sets columns of equal width under their titles", () => {
  const lines = sideBySide({ before: "short", after: "x ".repeat(40) }, colors.createColors(false), 96).split(
    "\n",
  );
  assert.equal(lines[0], `before${" ".repeat(43)}after`);
  assert.equal(lines[1]?.indexOf("x"), 49);
  assert.ok(lines.every((line) => line.length <= 96));
  assert.equal(lines.join("").match(/x/g)?.length, 40);
  const narrow = sideBySide({ before: "short", after: "x ".repeat(40) }, colors.createColors(false), 60);
  assert.ok(narrow.split("\n").every((line) => line.length <= 60));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { LAST_CODE, joinRanges } from "./characters.ts";
import { unicodeClass } from "./unicode-classes.ts";

test("a class has the characters that JavaScript finds in it, halves of pairs too; others are none", () => {
  for (const name of ["Lu", "Cs", "Script=Greek"]) {
    const one = new RegExp(`\\p{${name}}`, "u");
    const codes = Array.from({ length: LAST_CODE + 1 }, (_, code) => code);
    const found = codes.filter((code) => one.test(String.fromCodePoint(code)));
    assert.deepEqual(unicodeClass(name), joinRanges(found.map((code) => [code, code])));
  }
  for (const name of ["Nope", "", "L}|\\p{N"]) assert.equal(unicodeClass(name), null);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenText } from "./token-text.ts";

test("tokenText() reads texts and objects, and nothing else", () => {
  assert.equal(tokenText("<s>"), "<s>");
  assert.equal(tokenText({ content: "<s>", lstrip: false }), "<s>");
  assert.equal(tokenText(null), null);
  assert.equal(tokenText(7), null);
});

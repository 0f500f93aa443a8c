import assert from "node:assert/strict";
import { test } from "node:test";
import { showValue } from "./expected.ts";

test("objects of a class are told by its name, with the article that is spoken", () => {
  const shown = [new URL("file:///a"), new Uint8Array(1), new Int32Array(1), new Set(), { a: 1 }].map(
    showValue,
  );
  assert.deepEqual(shown, ["a URL", "a Uint8Array", "an Int32Array", "a Set", '{"a":1}']);
});

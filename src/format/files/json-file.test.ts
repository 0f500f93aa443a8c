import assert from "node:assert/strict";
import test from "node:test";
import { FormatError } from "../../errors.ts";
import { formatJson, parseJsonObject } from "./json-file.ts";

test("formatJson() sorts keys at every depth, indents by 2 and turns sets into lists", () => {
  const value = { b: { d: 1, c: null }, a: new Set(["y", "x"]), e: undefined };
  assert.equal(
    formatJson(value),
    '{\n  "a": [\n    "x",\n    "y"\n  ],\n  "b": {\n    "c": null,\n    "d": 1\n  }\n}\n',
  );
});

test("parseJsonObject() names the source when the text is broken or not an object", () => {
  for (const [text, found] of [
    ['{"a": ', /"f.json": .+, expected an object/],
    ["[1]", /an array, expected an object/],
    ["null", /null, expected an object/],
    ["3", /a number, expected an object/],
  ] as const) {
    assert.throws(
      () => parseJsonObject(text, "f.json"),
      (error: unknown) =>
        error instanceof FormatError && error.code === "format/json" && found.test(error.message),
    );
  }
});

test("parseJsonObject() refuses levels without end before anything handles them", () => {
  const deep = (levels: number): string => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;
  parseJsonObject(deep(99), "x.json");
  assert.throws(() => parseJsonObject(deep(200_000), "x.json"), {
    code: "format/json",
    message: /more than 100 nested levels/,
  });
});

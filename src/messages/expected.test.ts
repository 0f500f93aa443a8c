import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { describeSchema, schemaNode, showValue } from "./expected.ts";

test("objects of a class are told by its name, with the article that is spoken", () => {
  const shown = [new URL("file:///a"), new Uint8Array(1), new Int32Array(1), new Set(), { a: 1 }].map(
    showValue,
  );
  assert.deepEqual(shown, ["a URL", "a Uint8Array", "an Int32Array", "a Set", '{"a":1}']);
});

test("a list that is typed is told with commas, and with its length where it has one", () => {
  const told = (schema: z.ZodType): string => describeSchema(schemaNode(schema), "typed");
  assert.equal(told(z.array(z.int().min(0))), "a comma-separated list, each a whole number of at least 0");
  assert.match(told(z.array(z.string()).length(2)), /^a comma-separated list of 2, each text$/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ThoughtReader, findThoughtMarks } from "./thought-reader.ts";

const MARKS = ["<t>", "</t>"] as const;

function read(pieces: readonly string[], hasBegun: boolean): { reasoning: string; content: string } {
  const reader = new ThoughtReader(MARKS, { hasBegun });
  const parts = [...pieces.map((piece) => reader.push(piece)), reader.end()];
  const all = (of: "reasoning" | "content"): string => parts.map((part) => part[of]).join("");
  return { reasoning: all("reasoning"), content: all("content") };
}

test("what is thought comes apart from the answer, without white space beside the marks", () => {
  const cases: readonly (readonly [text: string, hasBegun: boolean, reasoning: string, content: string])[] = [
    ["<t>\nlet me\n see \n</t>\n\nyes </t> no\n", false, "let me\n see", "yes </t> no\n"],
    ["\nlet me see</t> yes", true, "let me see", "yes"],
    [" \n<t></t>yes", false, "", "yes"],
    [" yes <t>no</t>", false, "", " yes <t>no</t>"],
    ["<t> cut off </", false, "cut off </", ""],
    ["cut off", true, "cut off", ""],
    [" <", false, "", " <"],
    ["<t", false, "", "<t"],
    ["", false, "", ""],
  ];
  for (const [text, hasBegun, reasoning, content] of cases) {
    assert.deepEqual(read([text], hasBegun), { reasoning, content }, JSON.stringify(text));
  }
});

test("however a text is cut into pieces, thought and answer are the same", () => {
  const part = fc.constantFrom("<t>", "</t>", "<", "/", "t", ">", " ", "\n", "a");
  fc.assert(
    fc.property(
      fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 6 }),
      fc.boolean(),
      (lists, hasBegun) => {
        const pieces = lists.map((list) => list.join(""));
        assert.deepEqual(read(pieces.join("").split(""), hasBegun), read([pieces.join("")], hasBegun));
        assert.deepEqual(read(pieces, hasBegun), read([pieces.join("")], hasBegun));
      },
    ),
  );
});

test("nothing is held back but what may be a mark, or white space before one", () => {
  const reader = new ThoughtReader(MARKS);
  assert.deepEqual(reader.push(" <t"), { reasoning: "", content: "" });
  assert.deepEqual(reader.push("> one <"), { reasoning: "one", content: "" });
  assert.deepEqual(reader.push("b"), { reasoning: " <b", content: "" });
  assert.deepEqual(reader.push("\n</t>\n"), { reasoning: "", content: "" });
  assert.deepEqual(reader.push("\nyes "), { reasoning: "", content: "yes " });
});

test("a template shows the marks of its model", () => {
  assert.equal(findThoughtMarks("{{ messages }}"), null);
  assert.deepEqual(findThoughtMarks("{{ content.split('</think>') }}"), ["<think>", "</think>"]);
  assert.deepEqual(findThoughtMarks("[THINK]{{ thinking }}[/THINK]"), ["[THINK]", "[/THINK]"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type ThoughtForm, findThoughtForm } from "./thought-forms.ts";
import { ThoughtReader } from "./thought-reader.ts";

const MARKS: ThoughtForm = {
  sign: "</t>",
  opens: ["<t>"],
  close: "</t>",
  tokens: [],
  heads: [],
  partEnd: null,
};
/** As that of gpt-oss, in short. */
const MESSAGES: ThoughtForm = {
  ...MARKS,
  opens: ["<t>", "a<t>"],
  close: "/",
  heads: ["<a>", "a<a>"],
  partEnd: "/",
};

function read(
  pieces: readonly string[],
  hasBegun: boolean,
  form = MARKS,
): { reasoning: string; content: string } {
  const reader = new ThoughtReader(form, { hasBegun });
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

test("messages of an answer come without their heads, and thoughts between them apart", () => {
  const cases: readonly (readonly [text: string, reasoning: string, content: string])[] = [
    ["<t>let me see/a<a>yes", "let me see", "yes"],
    ["<a>yes", "", "yes"],
    ["yes", "", "yes"],
    ["<a>wait/a<t> now /a<a>yes <a> no/", "now", "waityes <a> no"],
    ["<t>hm/a to=b", "hm", "a to=b"],
    ["<t>hm/a<", "hm", ""],
    ["<t>hm/", "hm", ""],
    ["<t>hm", "hm", ""],
    ["a<", "", "a<"],
  ];
  for (const [text, reasoning, content] of cases) {
    assert.deepEqual(read([text], false, MESSAGES), { reasoning, content }, text);
    assert.deepEqual(read(text.split(""), false, MESSAGES), { reasoning, content }, text);
  }
});

test("however a text is cut into pieces, thought and answer are the same", () => {
  const part = fc.constantFrom("<t>", "</t>", "<a>", "<", "/", "t", ">", " ", "\n", "a");
  fc.assert(
    fc.property(
      fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 6 }),
      fc.boolean(),
      fc.constantFrom(MARKS, MESSAGES),
      (lists, hasBegun, form) => {
        const pieces = lists.map((list) => list.join(""));
        const whole = read([pieces.join("")], hasBegun, form);
        assert.deepEqual(read(pieces.join("").split(""), hasBegun, form), whole);
        assert.deepEqual(read(pieces, hasBegun, form), whole);
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

test("a template shows the form of its model", () => {
  const marksOf = (template: string): readonly unknown[] | undefined => {
    const form = findThoughtForm(template);
    return form ? [...form.opens, form.close] : undefined;
  };
  assert.equal(marksOf("{{ messages }}"), undefined);
  assert.equal(marksOf("<|user|>\n{{ content }}<|end|>\n<|assistant|>"), undefined);
  assert.deepEqual(marksOf("{{ content.split('</think>') }}"), ["<think>", "</think>"]);
  assert.deepEqual(marksOf("[THINK]{{ thinking }}[/THINK]"), ["[THINK]", "[/THINK]"]);
  assert.deepEqual(marksOf("'<|channel>thought\n' + text + '<channel|>'"), [
    "<|channel>thought",
    "<channel|>",
  ]);
  assert.deepEqual(marksOf("<|start|>assistant<|channel|>analysis<|message|>"), [
    "<|channel|>analysis<|message|>",
    "<|start|>assistant<|channel|>analysis<|message|>",
    "<|end|>",
  ]);
});

test("messages of gpt-oss may say what they hold before they begin", () => {
  const harmony = findThoughtForm("<|channel|>analysis<|message|>")!;
  for (const content of ["", " <|constrain|>json", "<|constrain|>json"]) {
    for (const channel of ["final", "commentary"]) {
      const text = `<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>${channel}${content}<|message|>{"a": 1}`;
      for (const pieces of [[text], text.split("")])
        assert.deepEqual(read(pieces, false, harmony), { reasoning: "so", content: '{"a": 1}' });
    }
  }
  assert.ok(harmony.tokens.includes("<|constrain|>"));
});

/** @file Calls as Liquid's LFM2 models write them, a list in Python: `<|tool_call_start|>[name(key="text", other=2)]<|tool_call_end|>`. */
import type { Place } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { SchemaRules } from "../../grammar/schema/schema-rules.ts";
import { readCallList } from "../call-list.ts";
import { addObjects } from "../object-pairs.ts";
import { PythonReader } from "../python-reader.ts";
import { type SchemaRule, type ToolFormat, addCallsInTurn, addMark } from "../tool-format.ts";

const [OPEN, CLOSE] = ["<|tool_call_start|>", "<|tool_call_end|>"] as const;

/** Arguments as Python has them by name; their values are JSON, but for the words of booleans. */
const keywordRule: SchemaRule = (book, schema, name) => {
  const values = new SchemaRules(book, schema, name);
  const form = { objects: values.wholeObjects(), keys: /^[^\s=()[\]{},'"]+$/, between: ", " };
  return book.rule(`arguments ${name}`, (start) =>
    addObjects(book, start, form, ({ from, key, view }) => {
      const value = book.text(from, `${key}=`);
      const isBoolean = values
        .shapesOf(view)
        .every(({ types, literals }) => literals === null && types.size === 1 && types.has("boolean"));
      if (!isBoolean) return book.call(value, values.value(view));
      return either(book, value, [(to) => book.text(to, "True"), (to) => book.text(to, "False")]);
    }),
  );
};

export const LIQUID: ToolFormat = {
  name: "liquid",
  // Its templates print neither calls nor how they are written.
  isOf: ({ template, specialTokens }) => template.includes(OPEN) || specialTokens.has(OPEN),
  marks: [OPEN],
  tokens: [OPEN, CLOSE],
  isWhole: false,
  hasEnd: true,
  begins: () => [OPEN],
  take(text, isEnd) {
    const end = text.indexOf(CLOSE);
    if (!isEnd && end < 0) return null;
    const reader = new PythonReader(text.slice(OPEN.length));
    const calls = reader.readCalls();
    const rest = reader.rest.trimStart();
    const isWhole = rest.startsWith(CLOSE) || (isEnd && rest === "");
    if (calls && isWhole) return { calls, rest: rest.slice(CLOSE.length) };
    // A system prompt may ask for JSON.
    const listed = end < 0 ? null : readCallList(text.slice(OPEN.length, end));
    return listed && { calls: listed, rest: text.slice(end + CLOSE.length) };
  },
  addCalls(book, from, choices, rules) {
    const call = book.rule("python call", (start) => {
      const ways = choices.map(({ name, addArguments }) => (at: Place) => {
        const pairs = book.call(book.text(at, `${name}(`), addArguments(book, keywordRule));
        return book.text(pairs, ")");
      });
      return either(book, start, ways);
    });
    const list = book.text(addMark(book, from, OPEN, rules), "[");
    const calls = addCallsInTurn(book, list, { call: (at) => book.call(at, call), between: ", " }, rules);
    return addMark(book, book.text(calls, "]"), CLOSE, rules);
  },
};

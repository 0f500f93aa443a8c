/** @file Calls as Liquid's LFM2 models write them, a list in Python: `<|tool_call_start|>[name(key="text", other=2)]<|tool_call_end|>`. */
import type { Place } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { schemaRule } from "../../grammar/schema/schema-rules.ts";
import { readCallList } from "../call-list.ts";
import { addPairs, propertiesOf, requiredOf } from "../keyed-arguments.ts";
import { PythonReader } from "../python-reader.ts";
import { type ToolFormat, addCallsInTurn, addMark } from "../tool-format.ts";

const [OPEN, CLOSE] = ["<|tool_call_start|>", "<|tool_call_end|>"] as const;

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
      const ways = choices.map(({ name, parameters }) => (at: Place) => {
        const own = Object.entries(propertiesOf(parameters));
        const form = { pairs: own, required: requiredOf(parameters), between: ", " };
        const pairs = addPairs(book, book.text(at, `${name}(`), form, ({ from: pair, key, schema }) => {
          const value = book.text(pair, `${key}=`);
          if (schema["type"] !== "boolean")
            return book.call(value, schemaRule(book, schema, `${name} ${key}`));
          return either(book, value, [(to) => book.text(to, "True"), (to) => book.text(to, "False")]);
        });
        return book.text(pairs, ")");
      });
      return either(book, start, ways);
    });
    const list = book.text(addMark(book, from, OPEN, rules), "[");
    const calls = addCallsInTurn(book, list, { call: (at) => book.call(at, call), between: ", " }, rules);
    return addMark(book, book.text(calls, "]"), CLOSE, rules);
  },
};

/**
 * @file Calls as GLM 4.5 to 4.7 write them: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`; those
 * before 4.7 put line breaks between the marks.
 */
import type { Place, RuleBook } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { type KeyedForm, addKeyedArguments, keyedArguments } from "../keyed-arguments.ts";
import { BETWEEN_MARKS, CLOSE, OPEN, addMarkedCalls } from "../tool-call-marks.ts";
import type { ToolFormat } from "../tool-format.ts";

const HEAD = /^<tool_call>\s*([\w.-]+)\s*/;
const ARGUMENT = /^<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>\s*/;

function addLineBreak(book: RuleBook, from: Place): Place {
  return either(book, from, [(at) => at, (at) => book.text(at, "\n")]);
}

const FORM: KeyedForm = {
  addKey(book, from, key) {
    const named = book.text(addLineBreak(book, from), `<arg_key>${key}</arg_key>`);
    return book.text(addLineBreak(book, named), "<arg_value>");
  },
  end: "</arg_value>",
};

export const GLM: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "glm",
  isOf: ({ template }) => template.includes(OPEN) && template.includes("<arg_key>"),
  take(text, isEnd, functions) {
    const [head = "", name = ""] = HEAD.exec(text) ?? [];
    if (head === "") return null;
    const pairs: (readonly [string, string])[] = [];
    let rest = text.slice(head.length);
    for (let found = ARGUMENT.exec(rest); found; found = ARGUMENT.exec(rest)) {
      const [whole, key = "", value = ""] = found;
      pairs.push([key, value]);
      rest = rest.slice(whole.length);
    }
    const isWhole = rest.startsWith(CLOSE) || (isEnd && rest === "");
    if (!isWhole) return null;
    return {
      calls: [{ name, arguments: keyedArguments(pairs, name, functions) }],
      rest: rest.slice(CLOSE.length),
    };
  },
  addCalls: (book, from, choices, rules) =>
    addMarkedCalls(book, from, rules, (open) => {
      const ways = choices.map((choice) => (at: number) => {
        const head = book.text(at, choice.name);
        return addLineBreak(book, addKeyedArguments(book, head, choice, FORM));
      });
      return either(book, open, ways);
    }),
};

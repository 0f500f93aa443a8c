/**
 * @file Calls as GLM 4.5 to 4.7 write them: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`; those
 * before 4.7 put line breaks between the marks.
 */
import type { Place, RuleBook } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { type KeyedForm, type KeyedMarks, keyedRule, takeKeyedCall } from "../keyed-arguments.ts";
import { BETWEEN_MARKS, CLOSE, OPEN, addMarkedCalls } from "../tool-call-marks.ts";
import type { ToolFormat } from "../tool-format.ts";

const MARKS: KeyedMarks = {
  head: /^<tool_call>\s*([\w.-]+)/,
  key: /\s*<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>/y,
  end: /<\/arg_value>/g,
  close: /\s*(?:<\/tool_call>|$)/y,
  mark: CLOSE,
};

function addLineBreak(book: RuleBook, from: Place): Place {
  return either(book, from, [(at) => at, (at) => book.text(at, "\n")]);
}

const FORM: KeyedForm = {
  mark: "</arg_value>",
  end: "</arg_value>",
  keys: /^(?!.*<\/arg_key>)/s,
  addKey(book, from, key) {
    const named = book.text(addLineBreak(book, from), `<arg_key>${key}</arg_key>`);
    return book.text(addLineBreak(book, named), "<arg_value>");
  },
};

export const GLM: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "glm",
  isOf: ({ template }) => template.includes(OPEN) && template.includes("<arg_key>"),
  take: (text, isEnd, functions) => takeKeyedCall(text, isEnd, functions, MARKS),
  addCalls: (book, from, choices, rules) =>
    addMarkedCalls(book, from, rules, (open) => {
      const ways = choices.map(({ name, addArguments }) => (at: number) => {
        const head = book.text(at, name);
        return addLineBreak(book, book.call(head, addArguments(book, keyedRule(FORM))));
      });
      return either(book, open, ways);
    }),
};

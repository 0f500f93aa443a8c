/**
 * @file Calls as Qwen's coders write them: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter>…</function></tool_call>`,
 * each mark on a line of its own.
 */
import { either } from "../../grammar/rules/json-rules.ts";
import { type KeyedForm, type KeyedMarks, keyedRule, takeKeyedCall } from "../keyed-arguments.ts";
import { BETWEEN_MARKS, CLOSE, OPEN, addMarkedCalls } from "../tool-call-marks.ts";
import type { ToolFormat } from "../tool-format.ts";

const MARKS: KeyedMarks = {
  head: /^<tool_call>\s*<function=([^>]+)>/,
  key: /\s*<parameter=([^>]+)>\n?/y,
  end: /\n?<\/parameter>/g,
  close: /\s*<\/function>\s*(?:<\/tool_call>|$)/y,
  mark: CLOSE,
};

const FORM: KeyedForm = {
  mark: "</parameter>",
  end: "\n</parameter>",
  keys: /^[^>]+$/,
  addKey: (book, from, key) => book.text(from, `\n<parameter=${key}>\n`),
};

export const QWEN_CODER: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "qwen-coder",
  isOf: ({ template }) => template.includes(OPEN) && template.includes("<function="),
  take: (text, isEnd, functions) => takeKeyedCall(text, isEnd, functions, MARKS),
  addCalls: (book, from, choices, rules) =>
    addMarkedCalls(book, from, rules, (open) => {
      const ways = choices.map(({ name, addArguments }) => (at: number) => {
        const head = book.text(at, `\n<function=${name}>`);
        return book.text(book.call(head, addArguments(book, keyedRule(FORM))), "\n</function>\n");
      });
      return either(book, open, ways);
    }),
};

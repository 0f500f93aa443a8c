/**
 * @file Calls as Qwen's coders write them: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter>…</function></tool_call>`,
 * each mark on a line of its own.
 */
import { either } from "../../grammar/rules/json-rules.ts";
import { type KeyedForm, addKeyedArguments, keyedArguments } from "../keyed-arguments.ts";
import { BETWEEN_MARKS, CLOSE, OPEN, addMarkedCalls } from "../tool-call-marks.ts";
import type { ToolFormat } from "../tool-format.ts";

const CALL = /^<tool_call>\s*<function=([^>]+)>([\s\S]*?)<\/function>\s*(?:<\/tool_call>|$)/;
const PARAMETER = /<parameter=([^>]+)>\n?([\s\S]*?)\n?<\/parameter>/g;

const FORM: KeyedForm = {
  addKey: (book, from, key) => book.text(from, `\n<parameter=${key}>\n`),
  end: "\n</parameter>",
};

export const QWEN_CODER: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "qwen-coder",
  isOf: ({ template }) => template.includes(OPEN) && template.includes("<function="),
  take(text, isEnd, functions) {
    const found = CALL.exec(text);
    if (!found || (!isEnd && !found[0].endsWith(CLOSE))) return null;
    const [whole, name = "", body = ""] = found;
    const pairs = [...body.matchAll(PARAMETER)].map(([, key = "", value = ""]) => [key, value] as const);
    return {
      calls: [{ name, arguments: keyedArguments(pairs, name, functions) }],
      rest: text.slice(whole.length),
    };
  },
  addCalls: (book, from, choices, rules) =>
    addMarkedCalls(book, from, rules, (open) => {
      const ways = choices.map((choice) => (at: number) => {
        const head = book.text(at, `\n<function=${choice.name}>`);
        return book.text(addKeyedArguments(book, head, choice, FORM), "\n</function>\n");
      });
      return either(book, open, ways);
    }),
};

/** @file Calls as Mistral's models write them: `[TOOL_CALLS] [{"name": …, "arguments": …}, …]`. */
import { either } from "../../grammar/rules/json-rules.ts";
import { addCallList, readCallList } from "../call-list.ts";
import { ARGS, BEHIND_MARK, MARK } from "../mistral-marks.ts";
import { type ToolFormat, addMark } from "../tool-format.ts";

export const MISTRAL: ToolFormat = {
  ...BEHIND_MARK,
  name: "mistral-list",
  // Newer ones write the name before a mark of its own.
  isOf: ({ template }) => template.includes(MARK) && !template.includes(ARGS),
  tokens: [MARK],
  hasEnd: true,
  take(text, isEnd) {
    const calls = isEnd ? readCallList(text.slice(MARK.length)) : null;
    return calls && { calls, rest: "" };
  },
  addCalls(book, from, choices, rules) {
    const marked = either(book, addMark(book, from, MARK, rules), [(at) => at, (at) => book.text(at, " ")]);
    return addCallList(book, marked, choices, rules);
  },
};

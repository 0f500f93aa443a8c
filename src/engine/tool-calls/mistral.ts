/** @file Calls as Mistral's models write them: `[TOOL_CALLS] [{"name": …, "arguments": …}, …]`. */
import { either, repeat } from "../grammar/json-rules.ts";
import { ARGS, BEHIND_MARK, MARK } from "./mistral-marks.ts";
import { type ToolFormat, addCallObject, addMark, parseJson, readCall } from "./tool-format.ts";

export const MISTRAL: ToolFormat = {
  ...BEHIND_MARK,
  name: "mistral-list",
  // Newer ones write the name before a mark of its own.
  isOf: ({ template }) => template.includes(MARK) && !template.includes(ARGS),
  tokens: [MARK],
  hasEnd: true,
  take(text, isEnd) {
    const value = isEnd ? parseJson(text.slice(MARK.length)) : undefined;
    if (!Array.isArray(value)) return null;
    const calls = value.flatMap((each) => readCall(each, "arguments") ?? []);
    return calls.length === value.length ? { calls, rest: "" } : null;
  },
  addCalls(book, from, choices, rules) {
    const marked = either(book, addMark(book, from, MARK, rules), [(at) => at, (at) => book.text(at, " ")]);
    const first = addCallObject(book, book.text(marked, "["), choices, "arguments");
    const all = rules.isParallel
      ? repeat(book, first, 0, null, (at) => addCallObject(book, book.text(at, ", "), choices, "arguments"))
      : first;
    return book.text(all, "]");
  },
};

/** @file Calls as Mistral's models write them: `[TOOL_CALLS] [{"name": …, "arguments": …}, …]`. */
import { either, repeat } from "../grammar/json-rules.ts";
import { type ToolFormat, addCallObject, addMark, parseJson, readCall } from "./tool-format.ts";

const MARK = "[TOOL_CALLS]";
/** Its templates take no ids of another length. */
const ID_LENGTH = 9;

export const MISTRAL: ToolFormat = {
  name: "mistral-list",
  // Newer ones write the name before a mark of its own.
  isOf: ({ template }) => template.includes(MARK) && !template.includes("[ARGS]"),
  marks: [MARK],
  tokens: [MARK],
  isWhole: false,
  hasEnd: true,
  idOf: (unique) =>
    unique
      .replace(/[^A-Za-z0-9]/g, "")
      .slice(-ID_LENGTH)
      .padStart(ID_LENGTH, "0"),
  begins: () => [MARK],
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

/** @file Calls as Hermes, Qwen and SmolLM3 write them: `<tool_call>{"name": …, "arguments": …}</tool_call>`, one or more. */
import { BETWEEN_MARKS, CLOSE, OPEN, addMarkedCalls } from "../tool-call-marks.ts";
import { type ToolFormat, addCallObject, parseJson, readCall } from "../tool-format.ts";

export const HERMES: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "hermes",
  isOf: ({ template }) => template.includes(OPEN),
  take(text, isEnd) {
    // The mark may also stand in a string of the arguments.
    for (let end = text.indexOf(CLOSE); end >= 0; end = text.indexOf(CLOSE, end + 1)) {
      const call = readCall(parseJson(text.slice(OPEN.length, end)), "arguments");
      if (call) return { calls: [call], rest: text.slice(end + CLOSE.length) };
    }
    const last = isEnd ? readCall(parseJson(text.slice(OPEN.length)), "arguments") : null;
    return last && { calls: [last], rest: "" };
  },
  addCalls: (book, from, choices, rules) =>
    addMarkedCalls(book, from, rules, (open) =>
      book.text(addCallObject(book, book.text(open, "\n"), choices, "arguments"), "\n"),
    ),
};

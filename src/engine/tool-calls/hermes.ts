/** @file Calls as Hermes, Qwen and SmolLM3 write them: `<tool_call>{"name": …, "arguments": …}</tool_call>`, one or more. */
import { repeat } from "../grammar/json-rules.ts";
import { BETWEEN_MARKS, CLOSE, OPEN } from "./tool-call-marks.ts";
import { type ToolFormat, addCallObject, addMark, parseJson, readCall } from "./tool-format.ts";

export const HERMES: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "hermes",
  // Qwen's coders write another form between the same marks.
  isOf: ({ template }) => template.includes(OPEN) && !template.includes("<function="),
  take(text, isEnd) {
    // The mark may also stand in a string of the arguments.
    for (let end = text.indexOf(CLOSE); end >= 0; end = text.indexOf(CLOSE, end + 1)) {
      const call = readCall(parseJson(text.slice(OPEN.length, end)), "arguments");
      if (call) return { calls: [call], rest: text.slice(end + CLOSE.length) };
    }
    const last = isEnd ? readCall(parseJson(text.slice(OPEN.length)), "arguments") : null;
    return last && { calls: [last], rest: "" };
  },
  addCalls(book, from, choices, rules) {
    const one = book.rule("marked call", (start) => {
      const head = book.text(addMark(book, start, OPEN, rules), "\n");
      const call = addCallObject(book, head, choices, "arguments");
      return addMark(book, book.text(call, "\n"), CLOSE, rules);
    });
    const first = book.call(from, one);
    if (!rules.isParallel) return first;
    return repeat(book, first, 0, null, (at) => book.call(book.text(at, "\n"), one));
  },
};

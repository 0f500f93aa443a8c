/** @file Calls as Nvidia's Nemotron models write them: `<TOOLCALL>[{"name": …, "arguments": …}, …]</TOOLCALL>`. */
import { addCallList, readCallList } from "../call-list.ts";
import { type ToolFormat, addMark } from "../tool-format.ts";

const [OPEN, CLOSE] = ["<TOOLCALL>", "</TOOLCALL>"] as const;

export const NEMOTRON: ToolFormat = {
  name: "nemotron",
  isOf: ({ template }) => template.includes(OPEN),
  marks: [OPEN],
  tokens: [OPEN, CLOSE],
  isWhole: false,
  hasEnd: true,
  begins: () => [OPEN],
  take(text, isEnd) {
    // The mark may also stand in a string of the arguments.
    for (let end = text.indexOf(CLOSE); end >= 0; end = text.indexOf(CLOSE, end + 1)) {
      const calls = readCallList(text.slice(OPEN.length, end));
      if (calls) return { calls, rest: text.slice(end + CLOSE.length) };
    }
    const last = isEnd ? readCallList(text.slice(OPEN.length)) : null;
    return last && { calls: last, rest: "" };
  },
  addCalls(book, from, choices, rules) {
    const list = addCallList(book, addMark(book, from, OPEN, rules), choices, rules);
    return addMark(book, list, CLOSE, rules);
  },
};

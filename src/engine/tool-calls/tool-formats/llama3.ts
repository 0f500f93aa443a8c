/** @file Calls as Llama 3 writes them: the answer is `{"name": …, "parameters": …}`, or several with semicolons between. */
import { type ToolFormat, addCallObject, parseJson, readCall } from "../tool-format.ts";

const MARK = "<|python_tag|>";

export const LLAMA3: ToolFormat = {
  name: "llama3",
  isOf: ({ template, specialTokens }) =>
    /"?parameters"?/.test(template) && (template.includes(MARK) || specialTokens.has(MARK)),
  marks: [MARK, "{"],
  tokens: [MARK],
  isWhole: true,
  hasEnd: false,
  begins: (names) => [MARK, ...names.map((name) => `{"name": ${JSON.stringify(name)}, "parameters": `)],
  take(text, isEnd) {
    if (!isEnd) return null;
    const body = text.startsWith(MARK) ? text.slice(MARK.length) : text;
    const whole = parseJson(body);
    const values = whole === undefined ? body.split(/;\s*(?=\{)/).map(parseJson) : [whole];
    const calls = values.flatMap((each) => readCall(each, "parameters") ?? []);
    return calls.length === values.length ? { calls, rest: "" } : null;
  },
  addCalls: (book, from, choices) => addCallObject(book, from, choices, "parameters"),
};

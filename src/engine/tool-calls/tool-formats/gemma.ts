/**
 * @file Calls as FunctionGemma and Gemma 4 write them: `<start_function_call>call:NAME{KEY:VALUE,…}<end_function_call>`, with keys as
 * they are, in their order, and texts between marks of their own.
 */
import type { Place } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { BareReader } from "../bare-reader.ts";
import { bareRule } from "../bare-rules.ts";
import { type ToolFormat, addCallsInTurn, addMark } from "../tool-format.ts";

interface Marks {
  readonly open: string;
  readonly close: string;
  /** The mark on both sides of a text. */
  readonly quote: string;
}

function gemma(name: string, { open, close, quote }: Marks): ToolFormat {
  return {
    name,
    isOf: ({ template }) => template.includes(open),
    marks: [open],
    tokens: [open, close, quote],
    isWhole: false,
    hasEnd: false,
    begins: () => [open],
    take(text, isEnd) {
      if (!isEnd && !text.includes(close)) return null;
      const [head = "", called = ""] = /^\s*call:([\w.-]+)(?=\{)/.exec(text.slice(open.length)) ?? [];
      if (head === "") return null;
      const reader = new BareReader(text.slice(open.length + head.length), quote);
      const value = reader.read();
      const rest = reader.rest.trimStart();
      const isWhole = rest.startsWith(close) || (isEnd && rest === "");
      if (value === undefined || !isWhole) return null;
      const call = { name: called, arguments: JSON.stringify(value) };
      return { calls: [call], rest: rest.slice(close.length) };
    },
    addCalls(book, from, choices, rules) {
      const one = book.rule("marked call", (start) => {
        const bare = bareRule(quote, rules);
        const ways = choices.map(
          ({ name: called, addArguments }) =>
            (at: Place) =>
              book.call(book.text(at, `call:${called}`), addArguments(book, bare)),
        );
        return addMark(book, either(book, addMark(book, start, open, rules), ways), close, rules);
      });
      return addCallsInTurn(book, from, { call: (at) => book.call(at, one), between: "" }, rules);
    },
  };
}

export const FUNCTION_GEMMA: ToolFormat = gemma("function-gemma", {
  open: "<start_function_call>",
  close: "<end_function_call>",
  quote: "<escape>",
});

export const GEMMA4: ToolFormat = gemma("gemma4", {
  open: "<|tool_call>",
  close: "<tool_call|>",
  quote: '<|"|>',
});

/**
 * @file Calls as DeepSeek's models write them: a list between marks, in which V3 and R1 write `function<｜tool▁sep｜>NAME` and a
 * fence of JSON, and V3.1 `NAME<｜tool▁sep｜>{…}`.
 */
import type { Place, RuleBook } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { type CallRules, type ToolFormat, addCallsInTurn, addMark, takeObject } from "../tool-format.ts";

const [OPEN, CLOSE] = ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"] as const;
const [BEGIN, SEPARATOR, END] = ["<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"] as const;
const FENCE = "```json\n";
const FENCED = new RegExp(`^(?:${OPEN}\\s*)?${BEGIN}function${SEPARATOR}([\\w.-]+)\\s*\`\`\`json\\s*`);
const PLAIN = new RegExp(`^(?:${OPEN}\\s*)?${BEGIN}([\\w.-]+)${SEPARATOR}\\s*`);
const TAIL = new RegExp(`^\\s*(?:\`\`\`)?\\s*(?:${END}|$)`);

interface CallForm {
  readonly addName: (book: RuleBook, from: Place, name: string, rules: CallRules) => Place;
  /** The mark behind the arguments. */
  readonly end: string;
  /** The mark between two calls. */
  readonly between: string;
}

function deepSeek(name: string, isOf: ToolFormat["isOf"], { addName, end, between }: CallForm): ToolFormat {
  return {
    name,
    isOf,
    marks: [OPEN, BEGIN, CLOSE],
    tokens: [OPEN, BEGIN, SEPARATOR, END, CLOSE],
    isWhole: false,
    hasEnd: true,
    begins: () => [OPEN],
    take(text, isEnd) {
      // The list's own end says nothing more.
      if (text.startsWith(CLOSE)) return { calls: [], rest: text.slice(CLOSE.length) };
      const [head = "", called = ""] = FENCED.exec(text) ?? PLAIN.exec(text) ?? [];
      const found = head === "" ? null : takeObject(text.slice(head.length));
      const tail = found && TAIL.exec(found.rest)?.[0];
      if (!found || tail == null || (!isEnd && !tail.endsWith(END))) return null;
      return { calls: [{ name: called, arguments: found.json }], rest: found.rest.slice(tail.length) };
    },
    addCalls(book, from, choices, rules) {
      const one = book.rule("marked call", (start) => {
        const ways = choices.map((choice) => (at: Place) => {
          const head = addName(book, at, choice.name, rules);
          return book.text(book.call(head, choice.addArguments(book)), end);
        });
        return addMark(book, either(book, addMark(book, start, BEGIN, rules), ways), END, rules);
      });
      const open = addMark(book, from, OPEN, rules);
      const all = addCallsInTurn(book, open, { call: (at) => book.call(at, one), between }, rules);
      return addMark(book, all, CLOSE, rules);
    },
  };
}

export const DEEPSEEK: ToolFormat = deepSeek(
  "deepseek",
  ({ template }) => template.includes(OPEN) && template.includes("```json"),
  {
    addName: (book, from, name, rules) =>
      book.text(addMark(book, book.text(from, "function"), SEPARATOR, rules), `${name}\n${FENCE}`),
    end: "\n```",
    between: "\n",
  },
);

export const DEEPSEEK_V31: ToolFormat = deepSeek("deepseek-v3.1", ({ template }) => template.includes(OPEN), {
  addName: (book, from, name, rules) => addMark(book, book.text(from, name), SEPARATOR, rules),
  end: "",
  between: "",
});

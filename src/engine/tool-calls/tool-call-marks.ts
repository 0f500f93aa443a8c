/** @file What the formats have in common whose calls stand between `<tool_call>` and `</tool_call>`. */
import type { Place, RuleBook, Way } from "../grammar/rules/automaton.ts";
import { type CallRules, type ToolFormat, addCallsInTurn, addMark } from "./tool-format.ts";

/** What a call begins and ends with. */
export const [OPEN, CLOSE] = ["<tool_call>", "</tool_call>"] as const;

/** What all forms have in common whose calls stand between these marks. */
export const BETWEEN_MARKS = {
  marks: [OPEN],
  tokens: [OPEN, CLOSE],
  isWhole: false,
  hasEnd: false,
  begins: () => [OPEN],
} satisfies Partial<ToolFormat>;

/** Adds the rule of calls between the marks, on lines of their own: one, or as many as there may be. */
export function addMarkedCalls(book: RuleBook, from: Place, rules: CallRules, addCall: Way): Place {
  const one = book.rule("marked call", (start) =>
    addMark(book, addCall(addMark(book, start, OPEN, rules)), CLOSE, rules),
  );
  return addCallsInTurn(book, from, { call: (at) => book.call(at, one), between: "\n" }, rules);
}

/** @file Calls as one list of JSON: `[{"name": …, "arguments": …}, …]`. */
import type { Place, RuleBook } from "../grammar/rules/automaton.ts";
import {
  type CallRules,
  type ToolCall,
  type ToolChoice,
  addCallObject,
  addCallsInTurn,
  parseJson,
  readCall,
} from "./tool-format.ts";

/** Reads a list of calls; null: it is none. */
export function readCallList(text: string): readonly ToolCall[] | null {
  const value = parseJson(text);
  if (!Array.isArray(value)) return null;
  const calls = value.flatMap((each) => readCall(each, "arguments") ?? []);
  return calls.length === value.length ? calls : null;
}

/** Adds the rule of a list: of one call, or of as many as there may be. */
export function addCallList(
  book: RuleBook,
  from: Place,
  choices: readonly ToolChoice[],
  rules: CallRules,
): Place {
  const call = (at: Place): Place => addCallObject(book, at, choices, "arguments");
  const all = addCallsInTurn(book, book.text(from, "["), { call, between: ", " }, rules);
  return book.text(all, "]");
}

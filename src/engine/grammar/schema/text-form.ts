/** @file How strings are written: between quotation marks as JSON has them, or as they are, up to a mark. */
import { type Place, RuleBook, type Way } from "../rules/automaton.ts";
import type { JsonRules, Times } from "../rules/json-rules.ts";
import { addPattern, addRawPattern } from "../rules/pattern-rules.ts";
import { addTextWithout } from "../rules/raw-text.ts";

export interface TextForm {
  /** Tells it from others in the names of rules. */
  readonly name: string;
  /** What no text may have, since readers take it for the end; null: texts may have anything. */
  readonly mark: string | null;
  /** Adds one text, which does not have the mark. */
  literal(from: Place, text: string): Place;
  /** Adds a text of so many characters. */
  counted(from: Place, times: Times): Place;
  /** Adds a text in which a pattern is found; it may have the mark. @throws PatternFault */
  pattern(from: Place, source: string): Place;
}

export function jsonText(json: JsonRules): TextForm {
  return {
    name: "json",
    mark: null,
    literal: (from, text) => json.book.text(from, JSON.stringify(text)),
    counted: (from, { least, most }) => json.string(from, least, most),
    pattern: (from, source) => addPattern(json, from, source),
  };
}

/** What stands around a text that is written as it is. */
export interface RawMarks {
  readonly open: Way;
  readonly close: Way;
  /** What readers take for the end of a text, in ASCII; it does not end as it begins. */
  readonly mark: string;
}

export function rawText(book: RuleBook, { open, close, mark }: RawMarks): TextForm {
  return {
    name: "raw",
    mark,
    literal: (from, text) => close(book.text(open(from), text)),
    counted: (from, times) => close(addTextWithout(book, open(from), mark, times)),
    pattern: (from, source) => close(addRawPattern(book, open(from), source)),
  };
}

/** Whether texts in which a pattern is found have a character of ASCII anywhere. @throws PatternFault */
export function canHave(source: string, character: string): boolean {
  const book = new RuleBook();
  addRawPattern(book, book.place(), source);
  const code = character.charCodeAt(0);
  return book.edges.some((edges) => edges.some(({ low, high }) => low <= code && code <= high));
}

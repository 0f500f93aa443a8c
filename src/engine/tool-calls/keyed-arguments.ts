/**
 * @file Arguments that are written one by one, each behind its key and before a mark: texts as they are, all other values as
 * JSON.
 */
import type { Place, RuleBook } from "../grammar/rules/automaton.ts";
import { SchemaRules } from "../grammar/schema/schema-rules.ts";
import { areTexts } from "../grammar/schema/shape.ts";
import { rawText } from "../grammar/schema/text-form.ts";
import { ArgumentShapes } from "./argument-shapes.ts";
import { addObjects } from "./object-pairs.ts";
import type { SchemaRule, ToolCall, ToolFunction } from "./tool-format.ts";

/** What stands around each value. */
export interface KeyedForm {
  /** What readers take for the end of a value, in ASCII. */
  readonly mark: string;
  /** What ends a value that is written: the mark, and what stands before it. */
  readonly end: string;
  /** Keys that readers find again. */
  readonly keys: RegExp;
  /** Adds the key, and what is before and behind it. */
  readonly addKey: (book: RuleBook, from: Place, key: string) => Place;
}

/** The rule of arguments in this form. */
export function keyedRule({ mark, end, keys, addKey }: KeyedForm): SchemaRule {
  return (book, schema, name) => {
    const close = (at: Place): Place => book.text(at, end);
    const values = new SchemaRules(book, schema, name);
    const text = rawText(book, { open: (at) => at, close, mark });
    const texts = new SchemaRules(book, schema, name, { text });
    const form = { objects: values.wholeObjects(), keys, between: "" };
    return book.rule(`arguments ${name}`, (start) =>
      addObjects(book, start, form, ({ from, key, view }) => {
        const at = addKey(book, from, key);
        const isText = areTexts(values.shapesOf(view));
        return isText ? book.call(at, texts.value(view)) : close(book.call(at, values.value(view)));
      }),
    );
  };
}

/** How a call is found again that is written in this form. */
export interface KeyedMarks {
  /** What is before the arguments, with the name of the function. */
  readonly head: RegExp;
  /** What is before a value, with its key; sticky. */
  readonly key: RegExp;
  /** What is behind a value; global. */
  readonly end: RegExp;
  /** What is behind the arguments; sticky. */
  readonly close: RegExp;
  /** What ends the call, and is missing only where the text ends. */
  readonly mark: string;
}

/** Takes the call that a text begins with; as `take` of a `ToolFormat`. */
export function takeKeyedCall(
  text: string,
  isEnd: boolean,
  functions: readonly ToolFunction[],
  marks: KeyedMarks,
): { readonly calls: readonly ToolCall[]; readonly rest: string } | null {
  if (!isEnd && !text.includes(marks.mark)) return null;
  const [head = "", name = ""] = marks.head.exec(text) ?? [];
  if (head === "") return null;
  const shapes = new ArgumentShapes(functions.find((each) => each.name === name));
  const pairs: (readonly [string, unknown])[] = [];
  let at = head.length;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (let found = match(marks.key); found; found = match(marks.key)) {
    const { 1: key = "" } = found;
    const read = shapes.read(key, text, { from: at, end: marks.end });
    if (!read) return null;
    pairs.push([key, read.value]);
    at = read.next;
  }
  const closed = match(marks.close);
  if (!closed || (!isEnd && !closed[0].endsWith(marks.mark))) return null;
  return { calls: [{ name, arguments: JSON.stringify(Object.fromEntries(pairs)) }], rest: text.slice(at) };
}

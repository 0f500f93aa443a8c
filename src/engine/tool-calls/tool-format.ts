/**
 * @file Contract of a form in which models write calls of functions: how they are read out of an answer, and how an answer
 * is held to them. The list is tool-formats.ts. A new form is its file and one line there.
 */
import { parseJson as parseExactly } from "../../data/formats/long-integer.ts";
import type { Place, RuleBook, Way } from "../grammar/rules/automaton.ts";
import { ANY_TIMES, repeat } from "../grammar/rules/json-rules.ts";
import { schemaRule } from "../grammar/schema/schema-rules.ts";
import { specialBytes } from "../grammar/vocabulary.ts";

export interface ToolCall {
  readonly name: string;
  /** JSON of an object. */
  readonly arguments: string;
}

/** What a form is recognised by. */
export interface ToolModel {
  /** Source of the chat template. */
  readonly template: string;
  /** Written form → id of each special token. */
  readonly specialTokens: ReadonlyMap<string, number>;
}

export interface ToolFunction {
  readonly name: string;
  /** Schema of its arguments. */
  readonly parameters?: object | null | undefined;
}

/** Adds the rule of what satisfies a schema in some form; `name` tells it from others. @throws SchemaError */
export type SchemaRule = (book: RuleBook, schema: object, name: string) => Place;

/** A function that may be called. */
export interface ToolChoice {
  readonly name: string;
  /** Adds the rule of its arguments, which are JSON unless a form is given. @throws what tells of a schema that cannot be held */
  readonly addArguments: (book: RuleBook, form?: SchemaRule) => Place;
}

/** Calls at the start of a text, and what comes behind them. */
interface TakenCalls {
  readonly calls: readonly ToolCall[];
  readonly rest: string;
}

export interface ToolFormat {
  readonly name: string;
  /** Whether a model writes calls so. */
  isOf(model: ToolModel): boolean;
  /** Texts or special tokens that begin calls. */
  readonly marks: readonly string[];
  /** What is shown of an answer although the vocabulary has it as special. */
  readonly tokens: readonly string[];
  /** Whether nothing comes before calls. */
  readonly isWhole: boolean;
  /** Whether several calls have one end, and not each its own. */
  readonly hasEnd: boolean;
  /** Whether a call ends its answer; unless given, more may come behind it. */
  readonly endsAnswer?: true;
  /** Makes an id of a call of a text that no other call has; unless given, that is behind `call_`. */
  readonly idOf?: (unique: string) => string;
  /** Texts that show that the model has begun to call one of some functions, from where on it is held to that. */
  begins(names: readonly string[]): readonly string[];
  /**
   * Takes calls from a text that begins with a mark; null: there are none that are whole yet. `isEnd`: nothing more comes.
   * `functions`: those that there are.
   */
  take(text: string, isEnd: boolean, functions: readonly ToolFunction[]): TakenCalls | null;
  /** Adds the rule of an answer that is calls: one, or as many as there may be. */
  addCalls(book: RuleBook, from: Place, choices: readonly ToolChoice[], more: CallRules): Place;
}

export interface CallRules {
  readonly isParallel: boolean;
  readonly specialTokens: ToolModel["specialTokens"];
}

/** The bytes of a mark, as `addMark` adds it. */
function markBytes(mark: string, specialTokens: ToolModel["specialTokens"]): readonly number[] {
  const special = [...specialTokens.keys()].filter((token) => token !== "" && mark.includes(token));
  const bytes: number[] = [];
  for (let at = 0; at < mark.length;) {
    const places = special.flatMap((token) => {
      const place = mark.indexOf(token, at);
      return place < 0 ? [] : [{ token, place }];
    });
    const next = places.sort((a, b) => a.place - b.place || b.token.length - a.token.length)[0];
    bytes.push(...new TextEncoder().encode(mark.slice(at, next?.place)));
    if (next) bytes.push(...specialBytes(next.token));
    at = next ? next.place + next.token.length : mark.length;
  }
  return bytes;
}

/** The same, one character each. */
export function markText(mark: string, specialTokens: ToolModel["specialTokens"]): string {
  return String.fromCharCode(...markBytes(mark, specialTokens));
}

/** Adds a mark; what of it the vocabulary has as special is written as such tokens, and all else as text. */
export function addMark(book: RuleBook, from: Place, mark: string, { specialTokens }: CallRules): Place {
  return book.bytes(from, markBytes(mark, specialTokens));
}

/** Adds one call, or as many as there may be, with a text between two. */
export function addCallsInTurn(
  book: RuleBook,
  from: Place,
  { call, between }: { readonly call: Way; readonly between: string },
  { isParallel }: CallRules,
): Place {
  const first = call(from);
  return isParallel ? repeat(book, first, ANY_TIMES, (at) => call(book.text(at, between))) : first;
}

/** Adds `{"name": …, "KEY": …}` of one of some functions. */
export function addCallObject(
  book: RuleBook,
  from: Place,
  choices: readonly ToolChoice[],
  key: string,
): Place {
  const rule = book.rule("call", (start) => {
    const end = book.place();
    for (const { name, addArguments } of choices) {
      const head = book.text(start, `{"name": ${JSON.stringify(name)}, "${key}": `);
      book.skip(book.text(book.call(head, addArguments(book)), "}"), end);
    }
    return end;
  });
  return book.call(from, rule);
}

/** The schema of a function's arguments as a whole. */
export function argumentSchema({ parameters }: ToolFunction): object {
  return { type: "object", ...(parameters ?? { additionalProperties: false }) };
}

/** A function as one that may be called. */
export function toolChoice(tool: ToolFunction): ToolChoice {
  const { name } = tool;
  return { name, addArguments: (book, form = schemaRule) => form(book, argumentSchema(tool), name) };
}

/** Reads a call that was written as an object of JSON; null: it is none. */
export function readCall(value: unknown, key: string): ToolCall | null {
  const { name, [key]: given = {} } = Object(value) as Record<string, unknown>;
  if (typeof name !== "string" || typeof given !== "object" || given === null) return null;
  return { name, arguments: JSON.stringify(given) };
}

/** Reads the object of JSON that a text begins with; null: it is not whole. */
export function takeObject(text: string): { readonly json: string; readonly rest: string } | null {
  const end = text.startsWith("{") ? endOfObject(text) : null;
  const value = end === null ? undefined : parseJson(text.slice(0, end));
  return end === null || value === undefined ? null : { json: JSON.stringify(value), rest: text.slice(end) };
}

/** Where the object of JSON ends that a text begins with; null: it is not whole. */
function endOfObject(text: string): number | null {
  let [depth, isString] = [0, false];
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (isString && sign === "\\") at++;
    else if (sign === '"') isString = !isString;
    else if (!isString && sign === "{") depth++;
    else if (!isString && sign === "}" && --depth === 0) return at + 1;
  }
  return null;
}

/** Parses JSON, of which numbers stay as they are written; undefined: it is none. */
export function parseJson(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return undefined;
  }
}

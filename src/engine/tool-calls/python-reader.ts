/** @file Reads calls of functions as Python writes them: `name(key="text", other=[1, True])`. */
import { readValue } from "./argument-shapes.ts";
import type { ToolCall } from "./tool-format.ts";

/** No schema that anybody holds an answer to is deeper. */
const MAX_DEPTH = 64;
const NAME = /\s*([\w.-]+)\s*\(/y;
const KEY = /\s*([^\s=()[\]{},'"]+)\s*=/y;
const SPACE = /\s*/y;
const TEXT = /\s*(?:"((?:[^"\\]|\\[^])*)"|'((?:[^'\\]|\\[^])*)')/y;
const LITERAL = /\s*([\w.+-]+)/y;
const ESCAPE = /\\(?:(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})|([^]))/g;
/** What is written behind a backslash, in Python or JSON; any other character keeps it. */
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ...["\\", "'", '"', "/"].map((sign) => [sign, sign] as const),
  ...Object.entries({ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", 0: "\0", "\n": "" }),
]);
const MAX_CODE_POINT = 0x10ffff;

export class PythonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** What comes behind what has been read. */
  get rest(): string {
    return this.#text.slice(this.#at);
  }

  /** Reads a list of calls; undefined: it is none, or not whole. */
  readCalls(): ToolCall[] | undefined {
    return this.#take("[") ? this.#list("]", () => this.#call()) : undefined;
  }

  #call(): ToolCall | undefined {
    const name = this.#match(NAME)?.[1];
    if (name === undefined) return undefined;
    const pairs = this.#list(")", () => this.#pair(this.#match(KEY)?.[1], 0));
    return pairs && { name, arguments: JSON.stringify(Object.fromEntries(pairs)) };
  }

  #pair(key: unknown, depth: number): readonly [string, unknown] | undefined {
    const value = key === undefined ? undefined : this.#value(depth + 1);
    return value === undefined ? undefined : [String(key), value];
  }

  #value(depth: number): unknown {
    if (depth > MAX_DEPTH) return undefined;
    if (this.#take("[")) return this.#list("]", () => this.#value(depth + 1));
    if (this.#take("(")) return this.#list(")", () => this.#value(depth + 1));
    if (this.#take("{")) {
      const pairs = this.#list("}", () => {
        const key = this.#value(depth + 1);
        return this.#take(":") ? this.#pair(key, depth) : undefined;
      });
      return pairs && Object.fromEntries(pairs);
    }
    const text = this.#match(TEXT);
    if (text) return (text[1] ?? text[2]!).replace(ESCAPE, unescape);
    const literal = this.#match(LITERAL)?.[1];
    return literal === undefined ? undefined : readValue(literal);
  }

  /** Reads what stands up to a bracket, with commas between and perhaps behind. */
  #list<T>(close: string, read: () => T | undefined): T[] | undefined {
    const found: T[] = [];
    while (!this.#take(close)) {
      if (found.length > 0 && !this.#take(",")) return undefined;
      if (found.length > 0 && this.#take(close)) break;
      const value = read();
      if (value === undefined) return undefined;
      found.push(value);
    }
    return found;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #take(sign: string): boolean {
    this.#match(SPACE);
    if (!this.#text.startsWith(sign, this.#at)) return false;
    this.#at += sign.length;
    return true;
  }
}

function unescape(whole: string, code?: string, sign = ""): string {
  if (code === undefined) return ESCAPED.get(sign) ?? whole;
  const point = Number.parseInt(code.slice(1), 16);
  return point > MAX_CODE_POINT ? whole : String.fromCodePoint(point);
}

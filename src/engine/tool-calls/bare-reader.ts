/**
 * @file Reads values in the form of Gemma's calls: objects have bare keys, texts stand between marks, and all else is as in
 * JSON.
 */
import { readValue } from "./argument-shapes.ts";

/** No schema that anybody holds an answer to is deeper. */
const MAX_DEPTH = 64;

export class BareReader {
  readonly #text: string;
  readonly #quote: string;
  #at = 0;

  /** `quote`: the mark on both sides of a text. */
  constructor(text: string, quote: string) {
    this.#text = text;
    this.#quote = quote;
  }

  /** What comes behind what has been read. */
  get rest(): string {
    return this.#text.slice(this.#at);
  }

  /** Reads a value; undefined: it is not whole. */
  read(depth = 0): unknown {
    if (depth > MAX_DEPTH) return undefined;
    if (this.#take(this.#quote)) return this.#until(this.#quote);
    if (this.#take("[")) return this.#list("]", () => this.read(depth + 1));
    if (!this.#take("{")) return this.#literal();
    const pairs = this.#list("}", () => {
      const key = this.#key();
      const value = key === undefined ? undefined : this.read(depth + 1);
      return value === undefined ? undefined : ([key, value] as const);
    });
    return pairs && Object.fromEntries(pairs);
  }

  #key(): string | undefined {
    if (!this.#take(this.#quote)) return this.#until(":")?.trim();
    const key = this.#until(this.#quote);
    return this.#take(":") ? key : undefined;
  }

  #list<T>(close: string, read: () => T | undefined): T[] | undefined {
    const found: T[] = [];
    while (!this.#take(close)) {
      if (found.length > 0 && !this.#take(",")) return undefined;
      const value = read();
      if (value === undefined) return undefined;
      found.push(value);
    }
    return found;
  }

  #literal(): unknown {
    const length = this.rest.search(/[,}\]]/);
    if (length < 0) return undefined;
    const text = this.rest.slice(0, length).trim();
    this.#at += length;
    return readValue(text);
  }

  #take(mark: string): boolean {
    if (!this.#text.startsWith(mark, this.#at)) return false;
    this.#at += mark.length;
    return true;
  }

  /** Text before a mark, which is passed; undefined: the mark does not come. */
  #until(mark: string): string | undefined {
    const end = this.#text.indexOf(mark, this.#at);
    if (end < 0) return undefined;
    const text = this.#text.slice(this.#at, end);
    this.#at = end + mark.length;
    return text;
  }
}

/**
 * @file Reads calls out of an answer while it is written. Text goes on at once, but for what may be the beginning of a call;
 * what turns out to be none is text after all.
 */
import type { ToolCall, ToolFormat, ToolFunction } from "./tool-format.ts";

/** Text that is certainly none of a call, and calls that are complete. */
export interface CallPart {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

export class CallReader {
  readonly #format: ToolFormat;
  readonly #functions: readonly ToolFunction[];
  /** Text that may yet turn out to be a call. */
  #held = "";
  /** Whether text has been given, behind which a form may have no calls. */
  #hasText = false;
  /** Whether there are calls, behind which what the end cuts off was to be another. */
  #hasCalls: boolean;

  /** `functions` that there are: calls of others are text. `isForced`: the answer is held to calls, and no text. */
  constructor(
    format: ToolFormat,
    functions: readonly ToolFunction[],
    { isForced = false }: { readonly isForced?: boolean } = {},
  ) {
    this.#format = format;
    this.#hasCalls = isForced;
    this.#functions = functions;
  }

  /** Takes the next piece. */
  push(text: string): CallPart {
    this.#held += text;
    return this.#read({ isEnd: false });
  }

  end(): CallPart {
    return this.#read({ isEnd: true });
  }

  #read({ isEnd }: { readonly isEnd: boolean }): CallPart {
    let content = "";
    const calls: ToolCall[] = [];
    const give = (length: number): void => {
      const text = this.#held.slice(0, length);
      this.#held = this.#held.slice(length);
      if (text.trim() !== "") this.#hasText = true;
      content += text;
    };
    for (let found = this.#findMark(); found; found = this.#findMark()) {
      const [mark, place] = found;
      // White space between text and a call is no part of either.
      give(this.#held.slice(0, place).trimEnd().length);
      this.#held = this.#held.trimStart();
      const taken = this.#format.take(this.#held, isEnd, this.#functions);
      if (taken && taken.calls.every(({ name }) => this.#functions.some((each) => each.name === name))) {
        calls.push(...taken.calls);
        this.#held = taken.rest;
        this.#hasCalls = true;
      } else if (taken) give(this.#held.length - taken.rest.length);
      else if (isEnd && this.#hasCalls) return { content, calls };
      else if (isEnd) give(mark.length);
      else return { content, calls };
    }
    give(isEnd && !this.#hasCalls ? this.#held.length : this.#numSettled());
    return { content, calls };
  }

  /** The first mark in what is held, and where it begins. */
  #findMark(): readonly [string, number] | undefined {
    const { marks, isWhole } = this.#format;
    const start = this.#held.length - this.#held.trimStart().length;
    const places = marks.map((mark) => [mark, this.#held.indexOf(mark)] as const);
    return places
      .filter(([, place]) => (isWhole ? place === start && !this.#hasText : place >= 0))
      .sort((a, b) => a[1] - b[1])[0];
  }

  /** How much of what is held comes before what may become a mark, with white space before it. */
  #numSettled(): number {
    const { marks, isWhole } = this.#format;
    const { length } = this.#held;
    const canBegin = (from: number): boolean => {
      const rest = this.#held.slice(from).trimStart();
      return rest === "" || marks.some((mark) => mark.startsWith(rest));
    };
    if (isWhole) return !this.#hasText && canBegin(0) ? 0 : length;
    let from = 0;
    while (from < length && !canBegin(from)) from++;
    return from;
  }
}
